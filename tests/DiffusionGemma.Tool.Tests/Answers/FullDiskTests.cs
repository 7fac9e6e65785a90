namespace DiffusionGemma.Answers;

/// <summary>Answers to a disk that is full, and to one that is read-only.</summary>
public sealed class FullDiskTests
{
    [Fact]
    public void Answers_name_what_failed_and_go_on_later() =>
        SmallDisk.Run(nameof(Child_on_a_small_disk), $"{nameof(Answers)}.{nameof(FullDiskTests)}");

    /// <summary>Runs in the child only: an explicit test is in no ordinary run.</summary>
    [Fact(Explicit = true)]
    public async Task Child_on_a_small_disk()
    {
        using TemporaryFolder folder = Fixtures.Temporary();
        string disk = SmallDisk.Here, input = folder.File("in.jsonl"), output = Path.Combine(disk, "out.jsonl");
        File.WriteAllText(input, """{"messages":[{"role":"user","content":"What is 1 plus 2?"}]}""" + "\n");
        string[] command =
        [
            "answer", Fixtures.Checkpoint("tiny-chat"), "--input", input, "--output", output, "--max-new-tokens", "16", "--device", "cpu",
        ];

        string ballast = SmallDisk.Fill();
        await FailsAsync("No space left");
        await TablesFailAsync("No space left");
        File.Delete(ballast);
        // The same command goes on.
        await ToolRun.SucceedAsync(command);
        Assert.Single(File.ReadAllLines(output));
        Assert.Equal([output], Directory.EnumerateFileSystemEntries(disk));

        byte[] before = File.ReadAllBytes(output);
        SmallDisk.MakeReadOnly();
        command[5] = Path.Combine(disk, "new.jsonl");
        await FailsAsync("Read-only file system");
        await TablesFailAsync("Read-only file system");
        Assert.Equal([output], Directory.EnumerateFileSystemEntries(disk));
        Assert.Equal(before, File.ReadAllBytes(output));
        SmallDisk.Passed();

        async Task FailsAsync(string said)
        {
            ToolRun run = await ToolRun.RunAsync(command);
            Assert.NotEqual(0, run.Code);
            Assert.True(run.Error.Contains(command[5], StringComparison.Ordinal), run.Error);
            Assert.True(run.Error.Contains(said, StringComparison.Ordinal), run.Error);
            Assert.False(File.Exists(command[5]));
        }

        // The output itself, where the journal still had room.
        async Task TablesFailAsync(string said)
        {
            TableRow[] rows =
                [.. Enumerable.Range(0, 3000).Select(n => new TableRow($"What is {n}?", [], new AnsweredRow(n, $"{n}", 1, 1, "")))];
            foreach (string path in new[] { Path.Combine(disk, "table.jsonl"), Path.Combine(disk, "table.parquet") })
            {
                IOException error = await Assert.ThrowsAnyAsync<IOException>(
                    () => AnswerTable.WriteAsync(path, "question", false, [], rows));
                Assert.True(error.Message.Contains(path, StringComparison.Ordinal), $"{error}");
                Assert.True(error.Message.Contains(said, StringComparison.Ordinal), $"{error}");
                Assert.Empty(Directory.EnumerateFiles(disk, "table*"));
            }
        }
    }
}
