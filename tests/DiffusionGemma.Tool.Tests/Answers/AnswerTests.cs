using System.Diagnostics;
using System.Text.Json;
using Parquet;
using Parquet.Schema;

namespace DiffusionGemma.Answers;

/// <summary>A file of questions into one of answers, by a process that is killed as an operating system kills.</summary>
[Collection(OneByOne.Name)]
public sealed class AnswerTests : IDisposable
{
    private const int Rows = 36, LeftOut = 5, TooLong = 11;
    private static readonly TimeSpan Longest = TimeSpan.FromMinutes(30);
    private readonly TemporaryFolder _folder = Fixtures.Temporary("batch");

    public void Dispose() => _folder.Dispose();

    [Fact]
    public async Task Killed_and_started_again_it_gives_the_file_of_a_run_that_was_never_stopped()
    {
        await WriteQuestions(_folder.File("in.parquet"));
        (int code, string said) = Run("whole.parquet");
        Assert.True(code == 0, said);
        Assert.Contains($"{Rows} rows, 2 of them with an error", said, StringComparison.Ordinal);
        CheckAnswers(_folder.File("whole.parquet"));

        // Blocks of 8 rows. Killed when the journal is begun and one is written, and again when another is; then a line is torn, as a kill
        // within a write leaves it.
        string journal = _folder.File("cut.parquet.journal");
        RunUntilGrown("cut.parquet", times: 2);
        RunUntilGrown("cut.parquet", times: 1);
        Assert.False(File.Exists(_folder.File("cut.parquet")));
        int kept = (File.ReadAllLines(journal).Length - 1) / 8 * 8;
        Assert.True(kept >= 16);
        File.AppendAllText(journal, """{"Row":99,"Resp""");
        (code, said) = Run("cut.parquet", "--seed", "8");
        Assert.Equal(ExitCode.Usage, code);
        Assert.Contains("was begun with seed the model's, and now it is 8", said, StringComparison.Ordinal);
        File.WriteAllText(_folder.File("cut.parquet"), "as it is where a kill fell between the output and the removal of the journal");
        (code, said) = Run("cut.parquet");
        Assert.True(code == 0, said);
        Assert.Contains($"Going on after {kept} answers of an earlier run.", said, StringComparison.Ordinal);
        Assert.Equal(File.ReadAllBytes(_folder.File("whole.parquet")), File.ReadAllBytes(_folder.File("cut.parquet")));
        Assert.Equal(["cut.parquet", "in.parquet", "whole.parquet"],
            Directory.EnumerateFiles(_folder.Path).Select(Path.GetFileName).Order());

        // What is done is not done again.
        (code, said) = Run("cut.parquet");
        Assert.Equal(ExitCode.Usage, code);
        Assert.Contains("is there already", said, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Lines_of_JSON_are_answered_in_their_order_and_those_that_cannot_be_have_a_reason()
    {
        string input = _folder.File("in.jsonl"), output = _folder.File("out.jsonl");
        await File.WriteAllLinesAsync(input,
        [
            """{"messages":[{"role":"user","content":"What is 1 plus 2?"}]}""", """{"messages":3}""", "",
            """{"messages":[{"role":"user","content":"What is 2 plus 2?"}]}""", "no JSON",
        ]);
        ToolRun run = await ToolRun.SucceedAsync(
            "answer", Fixtures.Checkpoint("tiny-chat"), "--input", input, "--output", output, "--max-new-tokens", "16", "--device", "cpu",
            "--json");

        JsonElement written = Assert.Single(run.Events("written"));
        Assert.Equal((4, 2), (written.GetProperty("rows").GetInt32(), written.GetProperty("failed").GetInt32()));
        JsonElement[] lines = [.. File.ReadLines(output).Select(line => JsonDocument.Parse(line).RootElement)];
        Assert.Equal([false, true, false, true], lines.Select(line => line.TryGetProperty("error", out _)));
        Assert.Equal("What is 2 plus 2?", lines[2].GetProperty("messages")[0].GetProperty("content").GetString());
        Assert.NotEmpty(lines[2].GetProperty("response").GetString()!);
        Assert.False(File.Exists(output + ".journal"));
    }

    /// <summary>Keys of a row beside its messages stay, and the output can be answered and measured again.</summary>
    [Theory]
    [InlineData(".jsonl")]
    [InlineData(".parquet")]
    public async Task Other_keys_of_a_row_stay_and_the_output_is_input_again(string kind)
    {
        string input = _folder.File("in.jsonl"), first = _folder.File("first" + kind), second = _folder.File("second" + kind);
        await File.WriteAllLinesAsync(input,
        [
            """{"id":7,"messages":[{"role":"user","content":"What is 1 plus 2?"}],"source":"a","response":"old"}""",
            """{"messages":[{"role":"user","content":"What is 2 plus 2?"}]}""",
            """{"messages":[{"role":"user","content":"What is 3 plus 2?"}],"tags":["x",{"y":1}]}""",
        ]);
        string[] command = ["answer", Fixtures.Checkpoint("tiny-chat"), "--max-new-tokens", "16", "--device", "cpu"];
        await ToolRun.SucceedAsync([.. command, "--input", input, "--output", first]);
        await ToolRun.SucceedAsync([.. command, "--input", first, "--output", second]);
        foreach (string path in new[] { first, second })
        {
            JsonElement[] rows = [.. Lines(path)];
            Assert.All(rows, row => Assert.Contains("plus 2?", row.GetProperty("messages").ToString(), StringComparison.Ordinal));
            Assert.All(rows, row => Assert.NotEqual("old", row.GetProperty("response").GetString()));
            Assert.DoesNotContain("messages", rows[0].GetProperty("messages").ToString(), StringComparison.Ordinal);
            if (kind == ".parquet" && path == second) continue;                    // columns of parquet beside the messages are not read
            Assert.Equal(("7", "a"), (rows[0].GetProperty("id").ToString(), rows[0].GetProperty("source").GetString()));
            Assert.Equal("""["x",{"y":1}]""", rows[2].GetProperty("tags").ToString());
        }
    }

    private static IEnumerable<JsonElement> Lines(string path)
    {
        if (!DataFiles.IsParquet(path)) return [.. File.ReadLines(path).Select(line => JsonDocument.Parse(line).RootElement)];
        using ParquetFile file = ParquetFile.Open(path);
        return [.. file.ReadRows(file.Columns).Select(line => JsonDocument.Parse(line).RootElement.Clone())];    // a line is reused
    }

    /// <summary>Questions with tools of their own: only the question is asked for in the output.</summary>
    [Fact]
    public async Task Questions_with_other_keys_are_answered()
    {
        string input = _folder.File("in.jsonl"), output = _folder.File("out.jsonl");
        await File.WriteAllLinesAsync(input, ["""{"q":"What is 1 plus 2?","chat_template_kwargs":{"note":1}}"""]);
        await ToolRun.SucceedAsync("answer", Fixtures.Checkpoint("tiny-chat"), "--input", input, "--output", output,
            "--question-column", "q", "--max-new-tokens", "16", "--device", "cpu");
        Assert.Equal("What is 1 plus 2?", Assert.Single(Lines(output)).GetProperty("q").GetString());
    }

    /// <summary>--restart throws away a stopped run's answers, and no other file.</summary>
    [Fact]
    public async Task Restart_replaces_no_file_and_respects_a_run_that_is_at_work()
    {
        string input = _folder.File("in.jsonl"), other = _folder.File("other.jsonl");
        await File.WriteAllLinesAsync(input, ["""{"messages":[{"role":"user","content":"What is 1 plus 2?"}]}"""]);
        File.Copy(input, other);
        string[] command = ["answer", Fixtures.Checkpoint("tiny-chat"), "--input", input, "--restart", "--device", "cpu", "--output"];
        string indirect = Path.Combine(_folder.Path, "x", "..", "in.jsonl");
        foreach (string output in new[] { input, indirect, other })
        {
            ToolRun refused = await ToolRun.RunAsync([.. command, output]);
            Assert.Equal(ExitCode.Usage, refused.Code);
            Assert.Contains("is there already", refused.Error, StringComparison.Ordinal);
        }
        Assert.Equal(File.ReadAllBytes(input), File.ReadAllBytes(other));
        string journal = _folder.File("new.jsonl.journal");
        using (var held = new FileStream(journal, FileMode.Create, FileAccess.ReadWrite, FileShare.None))
        {
            ToolRun refused = await ToolRun.RunAsync([.. command, _folder.File("new.jsonl")]);
            Assert.Equal(ExitCode.Data, refused.Code);
            Assert.Contains("does another process answer into it?", refused.Error, StringComparison.Ordinal);
        }
        Assert.True(File.Exists(journal));
        File.WriteAllText(journal, "of another run\n");
        await ToolRun.SucceedAsync([.. command, _folder.File("new.jsonl")]);
        Assert.False(File.Exists(journal));
    }

    /// <summary>Lines of a journal that no run writes.</summary>
    [Theory]
    [InlineData("", "damaged")]
    [InlineData("null", "null")]
    [InlineData("{}", "Row")]
    [InlineData("""{"Row":1,"Response":null,"TokensPerForward":1,"Steps":1,"Error":""}""", "Response")]
    [InlineData("""{"Row":1,"Response":"\ud800","TokensPerForward":1,"Steps":1,"Error":""}""", "damaged")]
    [InlineData("""{"Row":0,"Response":"two","TokensPerForward":1,"Steps":1,"Error":""}""", "row 0 stands after row 0")]
    [InlineData("""{"Row":-7,"Response":"two","TokensPerForward":1,"Steps":1,"Error":""}""", "row -7 stands after row 0")]
    public void A_damaged_line_of_the_journal_is_named(string line, string reason)
    {
        string path = _folder.File("journal");
        var identity = new Dictionary<string, string> { ["seed"] = "7" };
        using (AnswerJournal journal = AnswerJournal.Open(path, identity, block: 1)) journal.Append([new AnsweredRow(0, "one", 1, 1, "")]);
        File.AppendAllText(path, line + "\n");
        byte[] before = File.ReadAllBytes(path);
        ToolException error = Assert.Throws<ToolException>(() => AnswerJournal.Open(path, identity, block: 1));
        Assert.Equal(ExitCode.Data, error.Code);
        Assert.Contains("line 3, is damaged", error.Message, StringComparison.Ordinal);
        Assert.Contains(reason, error.Message, StringComparison.Ordinal);
        Assert.Equal(before, File.ReadAllBytes(path));
    }

    /// <summary>Every row of the input in its order, with the model's answer, or why there is none.</summary>
    private static void CheckAnswers(string path)
    {
        using ParquetFile file = ParquetFile.Open(path);
        Assert.Equal(["question", "response", "tokens_per_forward", "steps", "error"], file.Columns.Select(column => column.Name));
        int row = 0;
        foreach (ReadOnlyMemory<byte> line in file.ReadRows(file.Columns))
        {
            using JsonDocument json = JsonDocument.Parse(line);
            string? Text(string name) => json.RootElement.TryGetProperty(name, out JsonElement value) ? value.GetString() : null;
            Assert.Equal(Question(row), Text("question"));
            bool failed = row is LeftOut or TooLong;
            Assert.Equal((failed, failed), (Text("response")!.Length == 0, json.RootElement.GetProperty("steps").GetInt32() == 0));
            Assert.Contains(row switch { LeftOut => "'question' is null or missing", TooLong => "more than the model's", _ => "" },
                Text("error") ?? "", StringComparison.Ordinal);
            Assert.Equal(failed, Text("error") is not null);
            row++;
        }
        Assert.Equal(Rows, row);
    }

    private static string? Question(int row) => row switch
    {
        LeftOut => null,
        TooLong => string.Concat(Enumerable.Repeat("word ", 1500)),
        _ => $"What is {row} plus {row % 7}?",
    };

    private static async Task WriteQuestions(string path)
    {
        var question = new DataField("question", typeof(string), isNullable: true);
        await using FileStream stream = File.Create(path);
        await using ParquetWriter writer = await ParquetWriter.CreateAsync(new ParquetSchema(question), stream);
        using ParquetRowGroupWriter group = writer.CreateRowGroup();
        await group.WriteAsync(question, [.. Enumerable.Range(0, Rows).Select(Question)]);
        group.CompleteValidate();
    }

    private string[] Command(string output, params string[] more) =>
    [
        "answer", Fixtures.Checkpoint("tiny-chat"), "--input", _folder.File("in.parquet"), "--output", _folder.File(output),
        "--question-column", "question", "--batch-size", "2", "--max-new-tokens", "16", "--device", "cpu", .. more,
    ];

    private (int Code, string Said) Run(string output, params string[] more)
    {
        using var process = new ToolProcess(Command(output, more));
        int code = process.Wait();
        return (code, process.Said);
    }

    /// <summary>Kills the tool when its journal has grown so many times.</summary>
    private void RunUntilGrown(string output, int times)
    {
        var journal = new FileInfo(_folder.File(output + ".journal"));
        long Length()
        {
            journal.Refresh();
            return journal.Exists ? journal.Length : 0;
        }

        long length = Length();
        using var process = new ToolProcess(Command(output));
        var clock = Stopwatch.StartNew();
        for (int grown = 0; grown < times; Thread.Sleep(2))
        {
            Assert.False(process.HasExited, "The tool ended before it could be killed.");
            Assert.True(clock.Elapsed < Longest);
            if (Length() <= length) continue;
            length = Length();
            grown++;
        }
        process.Kill();
    }
}
