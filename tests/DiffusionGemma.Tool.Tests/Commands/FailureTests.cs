namespace DiffusionGemma.Commands;

/// <summary>Exit codes by kind of failure.</summary>
[Collection(OneByOne.Name)]
public sealed class FailureTests(TrainedRun run)
{
    private static string TinyChat => Fixtures.Checkpoint("tiny-chat");

    [Fact]
    public async Task A_recipe_with_faults_names_all_of_them_with_their_lines()
    {
        ToolRun failed = await ToolRun.RunAsync("train", run.File("recipe.yaml"), "--optimizer.lrr", "1", "--peft.dmi", "2");

        Assert.Equal(ExitCode.Usage, failed.Code);
        Assert.Contains("Did you mean 'lr'?", failed.Error, StringComparison.Ordinal);
        Assert.Contains("Did you mean 'dim'?", failed.Error, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Data_that_is_not_there_ends_with_3_and_the_nearest_name()
    {
        ToolRun failed = await ToolRun.RunAsync("evaluate", TinyChat, "--data", run.File("row.jsonl"));

        Assert.Equal(ExitCode.Data, failed.Code);
        Assert.Contains("Did you mean 'rows.jsonl'?", failed.Error, StringComparison.Ordinal);
    }

    /// <summary>Each took a run of hours to be found out, was another number, or ended with an internal error.</summary>
    [Theory]
    [InlineData("--temperature '0,5' must be a number", "chat", "MODEL", "--prompt", "x", "--temperature", "0,5")]
    [InlineData("--batch-size '1,2' must be", "answer", "MODEL", "--input", "ROWS", "--output", "NEW", "--batch-size", "1,2")]
    [InlineData("from 1 to 65536", "answer", "MODEL", "--input", "ROWS", "--output", "NEW", "--batch-size", "2147483647")]
    [InlineData("from 1 to 65536", "evaluate", "MODEL", "--data", "ROWS", "--batch-size", "1000000000")]
    [InlineData("--pattern is no regular expression", "evaluate", "MODEL", "--data", "ROWS", "--match", "pattern", "--pattern", "(")]
    [InlineData("more than the 1024 positions", "plan", "RECIPE", "--tokens", "2147483647")]
    [InlineData("--report ROWS is a file", "train", "RECIPE", "--report", "ROWS")]
    [InlineData("is the checkpoint that is trained", "train", "RECIPE", "--checkpoint.checkpoint_dir", "MODEL")]
    [InlineData("is the checkpoint that is trained", "train", "RECIPE", "--checkpoint.checkpoint_dir", "LINK")]
    [InlineData("ROWS is there already", "prepare", "gsm8k", "--source", "ROWS", "--output", "ROWS")]
    [InlineData("FOLDER is a folder", "prepare", "gsm8k", "--source", "ROWS", "--output", "FOLDER")]
    [InlineData("FOLDER is a folder", "train", "FOLDER")]
    [InlineData("lower step_scheduler.global_batch_size", "train", "RECIPE", "--step_scheduler.global_batch_size", "100000")]
    [InlineData("the chat template is empty", "chat", "MODEL", "--prompt", "x", "--chat-template", "EMPTY")]
    [InlineData("untemplated: the chat template is empty", "chat", "UNTEMPLATED", "--prompt", "x")]
    public async Task What_cannot_be_meant_is_said_before_anything_is_done(string said, params string[] command)
    {
        File.WriteAllText(run.File("empty.jinja"), " \n");
        string link = run.File("linked"), untemplated = Directory.CreateDirectory(run.File("untemplated")).FullName;
        if (!Directory.Exists(link)) Directory.CreateSymbolicLink(link, TinyChat);
        foreach (string file in Directory.EnumerateFiles(TinyChat))
            File.Copy(file, Path.Combine(untemplated, Path.GetFileName(file)), overwrite: true);
        File.WriteAllText(Path.Combine(untemplated, "chat_template.jinja"), "\n");
        string Real(string word) => word.Replace("UNTEMPLATED", untemplated, StringComparison.Ordinal)
            .Replace("LINK", link, StringComparison.Ordinal).Replace("MODEL", TinyChat, StringComparison.Ordinal)
            .Replace("ROWS", run.Rows, StringComparison.Ordinal).Replace("NEW", run.File("new.jsonl"), StringComparison.Ordinal)
            .Replace("RECIPE", run.File("recipe.yaml"), StringComparison.Ordinal)
            .Replace("FOLDER", run.File(""), StringComparison.Ordinal).Replace("EMPTY", run.File("empty.jinja"), StringComparison.Ordinal);
        byte[] rows = File.ReadAllBytes(run.Rows);
        ToolRun failed = await ToolRun.RunAsync([.. command.Select(Real)]);
        Assert.Contains(Real(said), failed.Error, StringComparison.Ordinal);
        Assert.NotInRange(failed.Code, ExitCode.Success, ExitCode.Failure);
        Assert.Equal(rows, File.ReadAllBytes(run.Rows));
        Assert.False(File.Exists(run.File("new.jsonl")));
    }

    /// <summary>Weights have digests in the zip; a folder that is made of the base gets its text files too.</summary>
    [Fact]
    public async Task A_text_file_of_the_base_that_has_changed_since_training_is_told_when_it_is_merged()
    {
        string changed = Directory.CreateDirectory(run.File("changed-base")).FullName;
        foreach (string file in Directory.EnumerateFiles(TinyChat)) File.Copy(file, Path.Combine(changed, Path.GetFileName(file)), true);
        DiffusionGemmaCheckpoints.Resolver = _ => changed;
        try
        {
            string zip = Fixtures.Path("models", "pipeline-v2.zip");
            ToolRun same = await ToolRun.SucceedAsync("merge", zip, "--output", run.File("merged-same"));
            Assert.DoesNotContain("is not the one", same.Error, StringComparison.Ordinal);
            File.AppendAllText(Path.Combine(changed, "chat_template.jinja"), "{# another #}");
            ToolRun other = await ToolRun.SucceedAsync("merge", zip, "--output", run.File("merged-other"));
            Assert.Contains($"note: chat_template.jinja of {changed} is not the one", other.Error, StringComparison.Ordinal);
        }
        finally
        {
            DiffusionGemmaCheckpoints.Resolver = null;
        }
    }

    [Fact]
    public async Task A_row_that_is_no_conversation_ends_with_3_and_its_line()
    {
        string path = run.File("bad.jsonl");
        await File.WriteAllLinesAsync(path, [.. File.ReadLines(run.Rows).Take(2), """{"messages": 3}"""]);
        ToolRun failed = await ToolRun.RunAsync("inspect", path, "--checkpoint", TinyChat);

        Assert.Equal(ExitCode.Data, failed.Code);
        Assert.Contains("line 3", failed.Error, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Rows_that_cannot_be_trained_on_are_shown_with_the_reason()
    {
        string path = run.File("unanswered.jsonl");
        await File.WriteAllTextAsync(path, """{"messages":[{"role":"user","content":"Hi"},{"role":"bot","content":"Hello"}]}""");
        ToolRun shown = await ToolRun.SucceedAsync("inspect", path, "--checkpoint", TinyChat);

        Assert.Contains("no rows", shown.Output, StringComparison.Ordinal);
        Assert.Contains("! unknown last role: bot", shown.Output, StringComparison.Ordinal);
        Assert.Contains("'bot' of 1 row", shown.Output, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_file_without_a_row_that_can_be_answered_is_a_fault_of_the_data()
    {
        string path = run.File("long.jsonl"), output = run.File("long-answered.jsonl");
        string row = $$"""{"question":"{{string.Concat(Enumerable.Repeat("1+1 ", 3_000))}}"}""";          // beyond the model's positions
        await File.WriteAllLinesAsync(path, [row, row]);
        ToolRun answered = await ToolRun.RunAsync(
            "answer", TinyChat, "--input", path, "--output", output, "--max-new-tokens", "8", "--device", "cpu");
        Assert.Equal(ExitCode.Data, answered.Code);
        Assert.Contains("2 rows, 2 of them with an error", answered.Output, StringComparison.Ordinal);
        Assert.Equal(2, File.ReadAllLines(output).Length);
    }

    [Fact]
    public async Task Questions_and_answers_are_found_without_naming_them()
    {
        string path = run.File("questions.jsonl"), output = run.File("answered.jsonl");
        await File.WriteAllLinesAsync(path, ["""{"question":"1+1?","answer":"2"}""", """{"question":null,"answer":"3"}"""]);
        ToolRun answered = await ToolRun.SucceedAsync(
            "answer", TinyChat, "--input", path, "--output", output, "--max-new-tokens", "8", "--device", "cpu");
        Assert.Contains("2 rows, 1 of them with an error", answered.Output, StringComparison.Ordinal);
        // The file is read several times, and its bad row told once.
        Assert.Equal(2, answered.Error.Split("line 2: 'question' is null or missing").Length);

        ToolRun failed = await ToolRun.RunAsync("inspect", path, "--checkpoint", TinyChat);
        Assert.Equal(ExitCode.Data, failed.Code);
        Assert.Contains("line 2: 'question' is null or missing", failed.Error, StringComparison.Ordinal);

        await File.WriteAllTextAsync(path, """{"prompt":"1+1?","completion":"2"}""");
        failed = await ToolRun.RunAsync("inspect", path, "--checkpoint", TinyChat);
        Assert.Equal(ExitCode.Data, failed.Code);
        Assert.Contains("it has 'prompt', 'completion'", failed.Error, StringComparison.Ordinal);
        Assert.Contains("--question-column", failed.Error, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("nowhere", "There is no model at")]
    [InlineData("", "it is not a model's folder")]
    public async Task A_model_that_is_none_ends_with_4(string name, string message)
    {
        using TemporaryFolder empty = Fixtures.Temporary();
        ToolRun failed = await ToolRun.RunAsync("chat", Path.Combine(empty.Path, name), "--prompt", "Hello");

        Assert.Equal(ExitCode.Checkpoint, failed.Code);
        Assert.Contains(message, failed.Error, StringComparison.Ordinal);
    }

    [Fact]
    public async Task An_adapter_whose_base_is_gone_ends_with_4()
    {
        using TemporaryFolder folder = Fixtures.Temporary();
        await File.WriteAllTextAsync(folder.File("adapter_config.json"), """{"base_model_name_or_path": "/nowhere/at/all"}""");
        ToolRun failed = await ToolRun.RunAsync("chat", folder.Path, "--prompt", "Hello");

        Assert.Equal(ExitCode.Checkpoint, failed.Code);
        Assert.Contains("/nowhere/at/all, which this adapter was trained on, is not there", failed.Error, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("{")]
    [InlineData("[]")]
    [InlineData("""{"base_model_name_or_path": "\ud800"}""")]
    public async Task An_adapter_whose_configuration_cannot_be_read_ends_with_4(string configuration)
    {
        using TemporaryFolder folder = Fixtures.Temporary();
        await File.WriteAllTextAsync(folder.File("adapter_config.json"), configuration);
        ToolRun failed = await ToolRun.RunAsync("chat", folder.Path, "--prompt", "Hello");

        Assert.Equal(ExitCode.Checkpoint, failed.Code);
        Assert.Contains($"{folder.File("adapter_config.json")} is not JSON that can be read", failed.Error, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_device_that_is_not_there_ends_with_5()
    {
        if (TorchSharp.torch.cuda.is_available()) Assert.Skip("This machine has a CUDA device.");
        ToolRun failed = await ToolRun.RunAsync("chat", TinyChat, "--device", "cuda", "--prompt", "Hello");
        ToolRun training = await ToolRun.RunAsync("train", run.File("recipe.yaml"), "--device", "cuda:1");

        Assert.Equal((ExitCode.Device, ExitCode.Device), (failed.Code, training.Code));
        Assert.Contains("--device cuda: ", failed.Error, StringComparison.Ordinal);
        Assert.Contains("--device cuda:1: ", training.Error, StringComparison.Ordinal);                     // the option, by its own name
    }

    [Fact]
    public async Task An_output_that_holds_something_is_not_touched()
    {
        ToolRun failed = await ToolRun.RunAsync("merge", run.Out, "--output", run.Out);

        Assert.Equal(ExitCode.Usage, failed.Code);
        Assert.Contains("holds files already", failed.Error, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_model_without_an_adapter_is_not_merged()
    {
        ToolRun failed = await ToolRun.RunAsync("merge", TinyChat, "--output", run.File("nothing"));

        Assert.Equal(ExitCode.Usage, failed.Code);
        Assert.Contains("has no adapter", failed.Error, StringComparison.Ordinal);
    }

    public static TheoryData<Exception, int> Kinds => new()
    {
        { new OperationCanceledException(), 130 },
        { new OutOfMemoryException(), 5 },
        { new InvalidOperationException("[enforce fail at alloc_cpu.cpp] DefaultCPUAllocator: not enough memory"), 5 },
        { new TrainingException("failed", new InvalidOperationException("CUDA out of memory.")) { Option = "MicroBatchSize" }, 5 },
        { new PlatformNotSupportedException(), 5 },
        { new DllNotFoundException(), 5 },
        { new ArgumentException("option"), 2 },
        { new TrainingException("option") { Option = "WarmupSteps" }, 2 },
        { new TrainingException("no rows"), 3 },
        { new TrainingException("row") { Row = 3 }, 3 },
        { new TrainingException("resumed") { Path = "run", Option = "Resume" }, 4 },
        { new TrainingException("not finite") { Step = 3 }, 1 },
        { new HubException(HubError.Gated, "licence"), 4 },
        { new IOException("disk"), 3 },
        { new InvalidOperationException("a bug"), 1 },
    };

    [Theory]
    [MemberData(nameof(Kinds), DisableDiscoveryEnumeration = true)]
    public void Every_kind_of_exception_has_its_code(Exception error, int code) => Assert.Equal(code, FailureKind.CodeOf(error));
}
