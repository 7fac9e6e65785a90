using System.Globalization;
using System.Security.Cryptography;
using System.Text.Json;
using Microsoft.ML;
using Microsoft.ML.Data;
using Spectre.Console;

namespace DiffusionGemma.Samples;

/// <summary>Answers the rows that the journal does not have yet, and then writes the output from it.</summary>
internal sealed class BatchRun(BatchArguments arguments)
{
    private const int BatchesAhead = 4;
    private readonly MLContext _ml = new(seed: 42);

    /// <summary>Rows that are read, denoised and written to the journal together.</summary>
    private int Block => checked(arguments.BatchSize * BatchesAhead);

    private string JournalPath => arguments.Output + ".journal";

    public async Task RunAsync(CancellationToken cancellation)
    {
        if (arguments.Restart) File.Delete(JournalPath);
        if (File.Exists(arguments.Output) && !File.Exists(JournalPath))
            throw new IOException($"{arguments.Output} is there already: name another --output, or take it away.");
        var data = new ChatDataOptions
        {
            QuestionColumn = arguments.QuestionColumn, SystemPrompt = arguments.SystemPrompt, MessagesColumn = arguments.MessagesColumn,
            MaxErrors = int.MaxValue,                               // a row that is no conversation is one of the output, with its reason
        };
        IDataView rows = _ml.Data.LoadChatFromParquet(data, arguments.Input);
        long total = _ml.Data.LoadChatFromParquet(arguments.Input, arguments.QuestionColumn, messagesColumn: arguments.MessagesColumn)
            .GetRowCount()!.Value;
        ITransformer model = Load(rows, out string fingerprint);
        using IDisposable? weights = model as IDisposable;

        Directory.CreateDirectory(Path.GetDirectoryName(Path.GetFullPath(arguments.Output))!);
        using AnswerJournal journal = AnswerJournal.Open(JournalPath, Identity(fingerprint), Block);
        if (journal.Count > 0) AnsiConsole.MarkupLineInterpolated($"Going on after {journal.Count} answers of an earlier run.");
        IDataView scored = _ml.Transforms.DiffusionGemma.Score(model, journal.Count > 0 ? _ml.Data.SkipRows(rows, journal.Count) : rows,
            options => options with
            {
                Generation = new GenerationOptions { MaxNewTokens = arguments.MaxNewTokens, Seed = arguments.Seed }
                    .Over(options.Generation),
                BatchSize = arguments.BatchSize,
                BatchesAhead = BatchesAhead,
                OnFailure = RowFailure.EmptyAnswer,
                Cancellation = cancellation,
            });
        AnsiConsole.Progress()
            .Columns(new TaskDescriptionColumn(), new ProgressBarColumn(), new PercentageColumn(), new ElapsedTimeColumn(),
                new RemainingTimeColumn())
            .Start(context => Answer(scored, journal, context.AddTask("answering", maxValue: Math.Max(1, total - 1 - journal.LastRow)),
                total));

        long failed = 0;
        await AnswerTable.WriteAsync(arguments.Output, arguments.QuestionColumn ?? arguments.MessagesColumn,
            Table(rows, journal, total).Select(row =>
        {
            failed += row.Answer.Error.Length > 0 ? 1 : 0;
            return row;
        }));
        journal.Delete();
        AnsiConsole.MarkupLineInterpolated($"{arguments.Output}: {total} rows{(failed > 0 ? $", {failed} of them with an error" : "")}.");
    }

    private static void Answer(IDataView scored, AnswerJournal journal, ProgressTask task, long total)
    {
        string[] columns = [ChatColumns.Response, ChatColumns.TokensPerForward, ChatColumns.Steps, ChatColumns.ResponseError];
        using DataViewRowCursor cursor = scored.GetRowCursor(columns.Select(name => scored.Schema[name]));
        ValueGetter<DataViewRowId> id = cursor.GetIdGetter();
        var response = cursor.GetGetter<ReadOnlyMemory<char>>(scored.Schema[ChatColumns.Response]);
        var tokensPerForward = cursor.GetGetter<float>(scored.Schema[ChatColumns.TokensPerForward]);
        var steps = cursor.GetGetter<int>(scored.Schema[ChatColumns.Steps]);
        var error = cursor.GetGetter<ReadOnlyMemory<char>>(scored.Schema[ChatColumns.ResponseError]);
        var block = new List<AnsweredRow>();
        long batch = -1;
        while (cursor.MoveNext())
        {
            if (cursor.Batch != batch) Keep();
            batch = cursor.Batch;
            (DataViewRowId row, ReadOnlyMemory<char> text, float rate, int passes, ReadOnlyMemory<char> reason) = (default, default, 0, 0,
                default);
            id(ref row);
            response(ref text);
            tokensPerForward(ref rate);
            steps(ref passes);
            error(ref reason);
            block.Add(new AnsweredRow((long)row.Low, text.ToString(), rate, passes, reason.ToString()));
        }
        Keep();
        task.Value = task.MaxValue;

        void Keep()
        {
            long before = journal.LastRow;
            journal.Append(block);
            block.Clear();
            task.Increment(journal.LastRow - before);
            task.Description = string.Create(CultureInfo.InvariantCulture, $"row {journal.LastRow + 1} of {total}");
        }
    }

    /// <summary>Every row of the input: those that the loader left out, and the journal's.</summary>
    private IEnumerable<TableRow> Table(IDataView rows, AnswerJournal journal, long total)
    {
        using IEnumerator<AnsweredRow> answers = journal.Rows().GetEnumerator();
        long next = 0;
        foreach (string messages in rows.GetColumn<string>(ChatColumns.Messages))
        {
            if (!answers.MoveNext()) throw new IOException(
                $"{JournalPath} has fewer answers than {arguments.Input} has rows: --restart begins anew.");
            foreach (TableRow lost in LeftOut(next, answers.Current.Row)) yield return lost;
            next = answers.Current.Row + 1;
            yield return new TableRow(arguments.QuestionColumn is null ? messages : Question(messages), answers.Current);
        }
        foreach (TableRow lost in LeftOut(next, total)) yield return lost;

        IEnumerable<TableRow> LeftOut(long from, long to) => from == to
            ? []
            : rows.GetSkippedChatRows().Where(skipped => skipped.Row >= from && skipped.Row < to)
                .Select(skipped => new TableRow(null, new AnsweredRow(skipped.Row!.Value, "", 0, 0, skipped.Reason)));
    }

    private static string Question(string messages)
    {
        using JsonDocument document = JsonDocument.Parse(messages);
        return document.RootElement.EnumerateArray().Last().GetProperty("content").GetString()!;
    }

    private ITransformer Load(IDataView rows, out string fingerprint)
    {
        if (arguments.Model is { } zip)
        {
            fingerprint = Hash(zip);
            return _ml.Model.Load(zip, out _);
        }
        DiffusionGemmaCatalog gemma = _ml.Transforms.DiffusionGemma;
        string checkpoint = HubRepository.IsId(arguments.Checkpoint)
            ? HubRepository.DownloadAsync(arguments.Checkpoint).GetAwaiter().GetResult() : arguments.Checkpoint;
        var model = gemma.TokenizeChat(checkpoint).Append(gemma.MaskResponse()).Append(gemma.Answer(checkpoint)).Fit(rows);
        string[] texts = ["tokenizer.json", "tokenizer_config.json", "chat_template.jinja", "generation_config.json"];
        fingerprint = string.Join('-', texts.Select(name => Path.Combine(checkpoint, name)).Where(File.Exists).Select(Hash)
            .Prepend(model.LastTransformer.Checkpoint.Fingerprint));
        return model;
    }

    /// <summary>The settings that answers depend on.</summary>
    private Dictionary<string, string> Identity(string fingerprint) => new()
    {
        ["input"] = Hash(arguments.Input),
        ["model"] = fingerprint,
        ["question-column"] = arguments.QuestionColumn ?? "none",
        ["messages-column"] = arguments.MessagesColumn,
        ["system-prompt"] = arguments.SystemPrompt ?? "none",
        ["batch-size"] = arguments.BatchSize.ToString(CultureInfo.InvariantCulture),
        ["max-new-tokens"] = arguments.MaxNewTokens?.ToString(CultureInfo.InvariantCulture) ?? "the model's",
        ["seed"] = arguments.Seed?.ToString(CultureInfo.InvariantCulture) ?? "the model's",
    };

    private static string Hash(string path)
    {
        using FileStream file = File.OpenRead(path);
        return Convert.ToHexString(SHA256.HashData(file));
    }
}
