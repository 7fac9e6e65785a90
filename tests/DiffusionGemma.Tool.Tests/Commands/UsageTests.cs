namespace DiffusionGemma.Commands;

/// <summary>Command lines that are wrong: nothing is done, and the message leads to the right one.</summary>
[Collection(OneByOne.Name)]
public sealed class UsageTests
{
    [Theory]
    [InlineData("trian", "'trian' is not known here. Did you mean 'train'?")]
    [InlineData("answer m --inptu a --output b", "There is no option --inptu. Did you mean '--input'?")]
    [InlineData("inspect --chekpoint x", "There is no option --chekpoint. Did you mean '--checkpoint'?")]
    [InlineData("evaluate m --data d --match numbr", "--match 'numbr' must be one of number, text, pattern. Did you mean 'number'?")]
    [InlineData("evaluate m --data d --match pattern", "--match pattern and --pattern go together.")]
    [InlineData("evaluate m --data d --no-loss --no-answers", "leave nothing to measure")]
    [InlineData("evaluate m", "Option '--data' is required.")]
    [InlineData("evaluate m --data d --rows 0", "--rows '0' must be a whole number of at least 1.")]
    [InlineData("answer m --input a.jsonl --output b.txt", "answers are written as .parquet or .jsonl")]
    [InlineData("answer m --input a --output b.jsonl --question-column q --messages-column m", "exclude each other")]
    [InlineData("answer m --input a --output b.jsonl --system-prompt s", "--system-prompt needs a --question-column")]
    [InlineData("chat m --device gpu", "--device 'gpu' is not a device: name cpu, cuda, or cuda:N.")]
    [InlineData("chat m --temperature -1", "--temperature '-1' must be a number of at least 0.")]
    [InlineData("prepare gsm8", "There is no data set 'gsm8'; known: gsm8k. Did you mean 'gsm8k'?")]
    [InlineData("download nothing", "'nothing' is no id: write org/name")]
    [InlineData("train --optimizer.lr 1e-5 recipe.yaml", "There is no option --optimizer.lr.")]
    [InlineData("train nowhere.yaml", "There is no recipe nowhere.yaml")]
    [InlineData("serve m --port 1 --urls http://localhost:2", "--port and --urls exclude each other")]
    [InlineData("serve m --port 70000", "--port 70000 is above 65535.")]
    [InlineData("serve m --urls nowhere", "--urls 'nowhere' is no address")]
    [InlineData("serve m --urls ftp://localhost:21", "--urls 'ftp://localhost:21' is no address")]
    [InlineData("serve m --urls http://unix:/socket", "is no address")]
    [InlineData("serve m --urls http://0.0.0.0:8080", "put a key of at least 16 characters into the variable DIFFUSIONGEMMA_API_KEY")]
    [InlineData("serve m --urls http://localhost:1;http://192.0.2.1:1", "--urls leads beyond this machine")]
    [InlineData("serve m --urls https://localhost:8080", "https needs a --certificate")]
    [InlineData("serve m --certificate c.pem", "--certificate is for https addresses")]
    [InlineData("serve m --adapter maths", "--adapter 'maths' is not NAME=FOLDER.")]
    [InlineData("serve m --adapter a=b --adapter a=c", "--adapter a comes twice.")]
    [InlineData("serve m --quantization int5", "--quantization 'int5' must be one of none, int8, int4.")]
    [InlineData("quantize m --output o --bits 5", "--bits '5' must be one of 4, 8.")]
    [InlineData("quantize m", "Option '--output' is required.")]
    [InlineData("merge m", "Option '--output' is required.")]
    public async Task A_wrong_command_line_ends_with_2_and_what_to_write(string line, string message)
    {
        ToolRun run = await ToolRun.RunAsync(line.Split(' '));

        Assert.Equal(ExitCode.Usage, run.Code);
        Assert.Empty(run.Output);
        Assert.Contains(message, run.Error, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("")]
    [InlineData(" ")]
    public async Task A_blank_name_of_a_served_model_is_refused_by_its_option(string name)
    {
        ToolRun run = await ToolRun.RunAsync("serve", Fixtures.Checkpoint("tiny-chat"), "--port", "0", "--name", name);

        Assert.Equal(ExitCode.Usage, run.Code);
        Assert.Contains("--name is blank", run.Error, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_failure_is_an_object_for_machines_and_words_on_standard_error()
    {
        ToolRun run = await ToolRun.RunAsync("trian", "--json");

        var failure = Assert.Single(run.Objects);
        Assert.Equal(("error", ExitCode.Usage), (failure.GetProperty("event").GetString(), failure.GetProperty("code").GetInt32()));
        Assert.Contains("Did you mean 'train'?", failure.GetProperty("message").GetString(), StringComparison.Ordinal);
        Assert.Contains("Did you mean 'train'?", run.Error, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Version_describes_the_runtime()
    {
        ToolRun run = await ToolRun.SucceedAsync("--version");

        Assert.Equal(DiffusionGemmaRuntime.Describe().Trim(), run.Output.Trim());
        Assert.Contains("mended", run.Output, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("plan")]
    [InlineData("train")]
    public async Task Help_of_a_recipe_calls_what_follows_it_its_keys(string command)
    {
        ToolRun run = await ToolRun.SucceedAsync(command, "--help");

        Assert.Contains("[--KEY VALUE ...]", run.Output, StringComparison.Ordinal);
        Assert.Contains("Keys of the recipe:", run.Output, StringComparison.Ordinal);
        Assert.DoesNotContain("dditional arguments", run.Output, StringComparison.OrdinalIgnoreCase);
    }

    [Theory]
    [InlineData("prepare")]
    [InlineData("download")]
    [InlineData("inspect")]
    [InlineData("plan")]
    [InlineData("train")]
    [InlineData("evaluate")]
    [InlineData("answer")]
    [InlineData("chat")]
    [InlineData("serve")]
    [InlineData("verify")]
    [InlineData("quantize")]
    [InlineData("merge")]
    [InlineData("export")]
    public async Task Every_command_has_help(string command)
    {
        Assert.Contains($"  {command} <", (await ToolRun.SucceedAsync("--help")).Output, StringComparison.Ordinal);
        ToolRun run = await ToolRun.SucceedAsync(command, "--help");
        Assert.Contains($"diffusion-gemma {command}", run.Output, StringComparison.Ordinal);
        Assert.Contains("--json", run.Output, StringComparison.Ordinal);
    }

    [Fact]
    public async Task The_tools_page_lists_every_command_and_every_exit_code()
    {
        string page = await File.ReadAllTextAsync(Path.Combine(Fixtures.Root, "docs", "tool.md"));
        var output = new ToolOutput(TextWriter.Null, TextWriter.Null, isJson: false, hasOutputTerminal: false, hasErrorTerminal: false);
        using var interruption = new Interruption(output);
        foreach (string command in RootCommandFactory.Create(new CommandContext(output, interruption)).Subcommands.Select(one => one.Name))
            Assert.Contains($"| `{command} ", page, StringComparison.Ordinal);
        foreach (int code in (int[])
        [
            ExitCode.Success, ExitCode.Failure, ExitCode.Usage, ExitCode.Data, ExitCode.Checkpoint, ExitCode.Device, ExitCode.Cancelled,
            ExitCode.Terminated, ExitCode.HungUp,
        ])
            Assert.Matches($@"(?m)^\| (\d+, )*{code}(, \d+)* \|", page);
    }
}
