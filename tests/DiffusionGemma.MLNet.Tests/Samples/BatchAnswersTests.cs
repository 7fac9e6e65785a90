using System.Diagnostics;
using System.Text;
using System.Text.Json;
using Parquet;
using Parquet.Schema;

namespace DiffusionGemma.Samples;

/// <summary>The sample as a process of its own, killed as an operating system kills.</summary>
public sealed class BatchAnswersTests : IDisposable
{
    private const int Rows = 36, LeftOut = 5, TooLong = 11;
    private static readonly TimeSpan Longest = TimeSpan.FromMinutes(4);
    private readonly TemporaryFolder _folder = Fixtures.Temporary("batch");

    public void Dispose() => _folder.Dispose();

    [Fact]
    public async Task Killed_and_started_again_it_gives_the_file_of_a_run_that_was_never_stopped()
    {
        await WriteQuestions(_folder.File("in.parquet"));
        (int code, string said) = Run("whole.parquet");
        Assert.True(code == 0, said);
        Assert.Contains($"{Rows} rows, 2 of them with an error", Unwrapped(said), StringComparison.Ordinal);
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
        (code, said) = Run("cut.parquet", "--max-new-tokens", "8");
        Assert.Equal(1, code);
        Assert.Contains("was begun with max-new-tokens 16, and now it is 8", Unwrapped(said), StringComparison.Ordinal);
        File.WriteAllText(_folder.File("cut.parquet"), "as it is where a kill fell between the output and the removal of the journal");
        (code, said) = Run("cut.parquet");
        Assert.True(code == 0, said);
        Assert.Contains($"Going on after {kept} answers of an earlier run.", Unwrapped(said), StringComparison.Ordinal);
        Assert.Equal(File.ReadAllBytes(_folder.File("whole.parquet")), File.ReadAllBytes(_folder.File("cut.parquet")));
        Assert.Equal(["cut.parquet", "in.parquet", "whole.parquet"],
            Directory.EnumerateFiles(_folder.Path).Select(Path.GetFileName).Order());

        // What is done is not done again.
        (code, said) = Run("cut.parquet");
        Assert.Equal(1, code);
        Assert.Contains("is there already", Unwrapped(said), StringComparison.Ordinal);
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

    private Process Start(string output, params string[] more)
    {
        string built = Path.GetRelativePath(Path.Combine(Fixtures.Root, "tests", "DiffusionGemma.MLNet.Tests"), AppContext.BaseDirectory);
        string program = Path.Combine(Fixtures.Root, "samples", "BatchAnswers", built, OperatingSystem.IsWindows() ? "BatchAnswers.exe"
            : "BatchAnswers");
        string[] arguments =
        [
            "--input", _folder.File("in.parquet"), "--output", _folder.File(output), "--question-column", "question", "--checkpoint",
                Fixtures.Checkpoint("tiny-chat"),
            "--batch-size", "2", "--max-new-tokens", "16", .. more,
        ];
        var start = new ProcessStartInfo(program, arguments)
        {
            RedirectStandardOutput = true, RedirectStandardError = true,
            StandardOutputEncoding = Encoding.UTF8
        };
        start.Environment["OMP_NUM_THREADS"] = "1";
        return Process.Start(start)!;
    }

    private (int Code, string Said) Run(string output, params string[] more)
    {
        using Process process = Start(output, more);
        Task<string> errors = process.StandardError.ReadToEndAsync();
        string said = process.StandardOutput.ReadToEnd() + errors.Result;
        Assert.True(process.WaitForExit(Longest));
        return (process.ExitCode, said);
    }

    /// <summary>Kills the sample when its journal has grown so many times.</summary>
    private void RunUntilGrown(string output, int times)
    {
        var journal = new FileInfo(_folder.File(output + ".journal"));
        long Length()
        {
            journal.Refresh();
            return journal.Exists ? journal.Length : 0;
        }

        long length = Length();
        using Process process = Start(output);
        process.OutputDataReceived += (_, _) => { };
        process.BeginOutputReadLine();
        process.BeginErrorReadLine();
        var clock = Stopwatch.StartNew();
        for (int grown = 0; grown < times; Thread.Sleep(2))
        {
            Assert.False(process.HasExited, "The sample ended before it could be killed.");
            Assert.True(clock.Elapsed < Longest);
            if (Length() <= length) continue;
            length = Length();
            grown++;
        }
        process.Kill();
        process.WaitForExit();
    }

    /// <summary>The console wraps lines at its width.</summary>
    private static string Unwrapped(string said) => said.ReplaceLineEndings(" ").Replace("  ", " ", StringComparison.Ordinal);
}
