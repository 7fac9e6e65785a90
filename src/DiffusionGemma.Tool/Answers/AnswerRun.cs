using System.Globalization;
using System.Text.Json;
using Microsoft.ML;
using Microsoft.ML.Data;

namespace DiffusionGemma;

/// <summary>Answers the rows that the journal does not have yet, and then writes the output from it.</summary>
internal sealed class AnswerRun(CommandContext context, MLContext ml, ToolModel model, AnswerSettings settings)
{
    private const int BatchesAhead = 4;

    private const string MessagesKey = "messages";

    private static readonly string[] Columns =
        [ChatColumns.Response, ChatColumns.TokensPerForward, ChatColumns.Steps, ChatColumns.ResponseError];

    /// <summary>Rows that are read, denoised and written to the journal together.</summary>
    private int Block => checked(settings.BatchSize * BatchesAhead);

    /// <summary>Answers.</summary>
    /// <param name="rows">The input; rows that are no conversations are left out of it.</param>
    /// <param name="total">Rows of the input, those included.</param>
    /// <param name="inputHash">Identifies the input.</param>
    /// <returns>The number of rows without an answer.</returns>
    public async Task<long> RunAsync(IDataView rows, long total, string inputHash)
    {
        Directory.CreateDirectory(Path.GetDirectoryName(Path.GetFullPath(settings.Output))!);
        using AnswerJournal journal = AnswerJournal.Open(settings.JournalPath, Identity(inputHash), Block, settings.Restart);
        if (journal.Count > 0) context.Output.Say(ToolOutput.Text($"Going on after {journal.Count} answers of an earlier run."));
        IDataView scored = ml.Transforms.DiffusionGemma.Score(
            model.Pipeline, journal.Count > 0 ? ml.Data.SkipRows(rows, journal.Count) : rows, options => options with
            {
                Generation = settings.Generation.Over(options.Generation),
                BatchSize = settings.BatchSize,
                BatchesAhead = BatchesAhead,
                OnFailure = RowFailure.EmptyAnswer,
                Cancellation = context.Interruption.Token,
            });
        await WorkProgress.RunAsync(context.Output, "answering", progress =>
        {
            Answer(scored, journal, total, progress);
            return true;
        });

        long failed = 0;
        await AnswerTable.WriteAsync(settings.Output, settings.Rows.QuestionColumn ?? settings.Rows.MessagesColumn,
            settings.Rows.QuestionColumn is null, OtherKeys(rows), Table(rows, journal, total).Select(row =>
            {
                failed += row.Answer.Error.Length > 0 ? 1 : 0;
                return row;
            }));
        journal.Delete();
        return failed;
    }

    private void Answer(IDataView scored, AnswerJournal journal, long total, WorkProgress progress)
    {
        using DataViewRowCursor cursor = scored.GetRowCursor(Columns.Select(name => scored.Schema[name]));
        ValueGetter<DataViewRowId> id = cursor.GetIdGetter();
        var response = cursor.GetGetter<ReadOnlyMemory<char>>(scored.Schema[ChatColumns.Response]);
        var tokensPerForward = cursor.GetGetter<float>(scored.Schema[ChatColumns.TokensPerForward]);
        var steps = cursor.GetGetter<int>(scored.Schema[ChatColumns.Steps]);
        var error = cursor.GetGetter<ReadOnlyMemory<char>>(scored.Schema[ChatColumns.ResponseError]);
        var block = new List<AnsweredRow>();
        long batch = -1;
        progress.Report(journal.LastRow + 1, total, ToolOutput.Text($"row {journal.LastRow + 1} of {total}"));
        while (cursor.MoveNext())
        {
            if (cursor.Batch != batch) Keep();
            batch = cursor.Batch;
            (DataViewRowId row, ReadOnlyMemory<char> text, float rate, int passes, ReadOnlyMemory<char> reason) =
                (default, default, 0, 0, default);
            id(ref row);
            response(ref text);
            tokensPerForward(ref rate);
            steps(ref passes);
            error(ref reason);
            block.Add(new AnsweredRow((long)row.Low, text.ToString(), rate, passes, reason.ToString()));
        }
        Keep();

        void Keep()
        {
            if (block.Count == 0) return;
            journal.Append(block);
            block.Clear();
            progress.Report(journal.LastRow + 1, total, ToolOutput.Text($"row {journal.LastRow + 1} of {total}"));
            context.Output.Emit(new { Event = "answered", Rows = journal.LastRow + 1, Total = total });
        }
    }

    /// <summary>Every row of the input: those that the loader left out, and the journal's.</summary>
    private IEnumerable<TableRow> Table(IDataView rows, AnswerJournal journal, long total)
    {
        using IEnumerator<AnsweredRow> answers = journal.Rows().GetEnumerator();
        int taken = 0;
        long next = 0;
        foreach (string messages in rows.GetColumn<string>(ChatColumns.Messages))
        {
            if (!answers.MoveNext()) throw new IOException(
                $"{settings.JournalPath} has fewer answers than {settings.Input} has rows: --restart begins anew.");
            foreach (TableRow lost in LeftOut(answers.Current.Row)) yield return lost;
            next = answers.Current.Row + 1;
            (string asked, IReadOnlyList<OtherValue> others) = Conversation(messages);
            yield return new TableRow(settings.Rows.QuestionColumn is null ? asked : Question(asked), others, answers.Current);
        }
        foreach (TableRow lost in LeftOut(total)) yield return lost;

        // Rows are left out in their order, and the numbers of the answered ones leave gaps for them.
        IEnumerable<TableRow> LeftOut(long end)
        {
            for (; next < end; next++)
            {
                if (taken == rows.GetSkippedChatRows().Count) throw new IOException(
                    $"{settings.JournalPath} has no answer to row {next} of {settings.Input}: --restart begins anew.");
                yield return new TableRow(null, [], new AnsweredRow(next, "", 0, 0, rows.GetSkippedChatRows()[taken++].Reason));
            }
        }
    }

    /// <summary>Names of the keys that rows have beside their messages, in the order that they appear in.</summary>
    private static List<string> OtherKeys(IDataView rows) => [.. rows.GetColumn<string>(ChatColumns.Messages)
        .Where(text => text.StartsWith('{')).SelectMany(text => Conversation(text).Others.Select(other => other.Name)).Distinct()];

    /// <summary>The messages of a conversation, and what is beside them: it is an object where the row has other keys.</summary>
    private static (string Messages, IReadOnlyList<OtherValue> Others) Conversation(string text)
    {
        if (!text.StartsWith('{')) return (text, []);
        using JsonDocument document = JsonDocument.Parse(text, new JsonDocumentOptions { MaxDepth = 256 });
        JsonProperty[] all = [.. document.RootElement.EnumerateObject()];
        return (
            all.Last(one => one.NameEquals(MessagesKey)).Value.GetRawText(),
            [.. all.Where(one => !one.NameEquals(MessagesKey))
                .Select(one => new OtherValue(one.Name, one.Value.GetRawText()))]);
    }

    private static string Question(string messages)
    {
        using JsonDocument document = JsonDocument.Parse(messages);
        return document.RootElement.EnumerateArray().Last().GetProperty("content").GetString()!;
    }

    /// <summary>The settings that answers depend on.</summary>
    private Dictionary<string, string> Identity(string inputHash) => new()
    {
        ["input"] = inputHash,
        ["model"] = model.Fingerprint(),
        ["chat-template"] = settings.ChatTemplate is { } template ? ToolModel.Hash(template) : "the model's",
        ["question-column"] = settings.Rows.QuestionColumn ?? "none",
        ["messages-column"] = settings.Rows.MessagesColumn,
        ["system-prompt"] = settings.Rows.SystemPrompt ?? "none",
        ["batch-size"] = settings.BatchSize.ToString(CultureInfo.InvariantCulture),
        ["max-new-tokens"] = Text(settings.Generation.MaxNewTokens),
        ["steps"] = Text(settings.Generation.MaxDenoisingSteps),
        ["seed"] = Text(settings.Generation.Seed),
    };

    private static string Text<T>(T? number) where T : struct, IFormattable =>
        number?.ToString(null, CultureInfo.InvariantCulture) ?? "the model's";
}
