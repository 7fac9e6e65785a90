using System.Text.Json;

namespace DiffusionGemma.Commands;

/// <summary>A checkpoint's folder with fewer bits.</summary>
[Collection(OneByOne.Name)]
public sealed class QuantizeTests(TrainedRun run)
{
    private static string TinyChat => Fixtures.Checkpoint("tiny-chat");

    [Theory]
    [InlineData("4", Quantization.Int4, 0.55)]
    [InlineData("8", Quantization.Int8, 0.75)]
    public async Task The_folder_is_smaller_and_is_the_model_that_rounding_on_loading_makes(
        string bits, Quantization quantization, double largest)
    {
        using TemporaryFolder folder = Fixtures.Temporary();
        string output = folder.File("small");
        ToolRun quantized = await ToolRun.SucceedAsync("quantize", TinyChat, "--output", output, "--bits", bits, "--json");
        JsonElement result = Assert.Single(quantized.Objects);

        Assert.Equal("quantized", result.GetProperty("event").GetString());
        Assert.Equal(quantization.ToString(), result.GetProperty("quantization").GetString());
        long after = Directory.GetFiles(output, "*.safetensors").Sum(file => new FileInfo(file).Length);
        Assert.Equal(after, result.GetProperty("bytesAfter").GetInt64());
        Assert.InRange(after, 1, (long)(largest * result.GetProperty("bytesBefore").GetInt64()));
        Assert.Contains("MB before", quantized.Error, StringComparison.Ordinal);

        const string Question = "What is 8 plus 7?";
        ToolRun chat = await ToolRun.SucceedAsync("chat", output, "--prompt", Question, "--max-new-tokens", "32", "--device", "cpu");
        using DiffusionGemmaChatClient client = DiffusionGemmaChatClient.Load(
            TinyChat, TorchSharp.torch.CPU, batchSize: 1, quantization: quantization);
        var options = new Microsoft.Extensions.AI.ChatOptions { Seed = 0, MaxOutputTokens = 32 };
        Microsoft.Extensions.AI.ChatMessage[] messages = [new(Microsoft.Extensions.AI.ChatRole.User, Question)];
        Assert.Equal((await client.GetResponseAsync(messages, options)).Text.Trim(), chat.Output.Trim());

        ToolRun again = await ToolRun.RunAsync("quantize", output, "--output", folder.File("again"), "--bits", bits);
        Assert.Equal(ExitCode.Usage, again.Code);
        Assert.Contains("bits", again.Error, StringComparison.Ordinal);
        Assert.False(Directory.Exists(folder.File("again")) && Directory.EnumerateFileSystemEntries(folder.File("again")).Any());
    }

    [Fact]
    public async Task Weights_that_are_rounded_twice_are_told()
    {
        using TemporaryFolder folder = Fixtures.Temporary();
        string eight = folder.File("eight");
        QuantizedCheckpoint.Create(TinyChat, eight, Quantization.Int8);
        ToolRun again = await ToolRun.SucceedAsync("quantize", eight, "--output", folder.File("four"));
        Assert.Contains("note: The weights of", again.Error, StringComparison.Ordinal);
        Assert.Contains("rounded twice", again.Error, StringComparison.Ordinal);

        ToolRun more = await ToolRun.RunAsync("quantize", folder.File("four"), "--output", folder.File("more"), "--bits", "8");
        Assert.Equal(ExitCode.Usage, more.Code);
        Assert.DoesNotContain("(Parameter", more.Error, StringComparison.Ordinal);
    }

    /// <summary>A run over a folder of 4 bits: its adapter is merged into the folder that was quantised, and into no other.</summary>
    [Fact]
    public async Task An_adapter_over_quantised_weights_is_merged_into_the_original()
    {
        using TemporaryFolder folder = Fixtures.Temporary();
        string small = folder.File("small"), output = folder.File("out"), merged = folder.File("merged");
        QuantizedCheckpoint.Create(TinyChat, small, Quantization.Int4);
        TrainedRun.WriteRows(folder.File("rows.jsonl"));
        await ToolRun.SucceedAsync(
            "train", TrainedRun.WriteRecipe(folder.Path, output, small), "--step_scheduler.max_steps", "2", "--device", "cpu",
            "--no-report", "--answers", "0");

        ToolRun bare = await ToolRun.RunAsync("merge", output, "--output", merged);
        Assert.Equal(ExitCode.Usage, bare.Code);
        Assert.Contains("--original FOLDER", bare.Error, StringComparison.Ordinal);
        Assert.DoesNotContain("   at ", bare.Error, StringComparison.Ordinal);
        ToolRun wrong = await ToolRun.RunAsync("merge", output, "--output", merged, "--original", small);
        Assert.Equal(ExitCode.Usage, wrong.Code);
        await ToolRun.SucceedAsync("merge", output, "--output", merged, "--original", TinyChat);
        using DiffusionGemmaModel model = DiffusionGemmaModel.Load(merged, TorchSharp.torch.CPU);
        Assert.Empty(model.Notices);
    }

    /// <summary>The same answers as from a folder that was quantised before; and other answers are not continued with.</summary>
    [Fact]
    public async Task Commands_that_answer_round_a_checkpoint_on_loading()
    {
        using TemporaryFolder folder = Fixtures.Temporary();
        string small = folder.File("small"), output = folder.File("answers.jsonl");
        QuantizedCheckpoint.Create(TinyChat, small, Quantization.Int4);
        string[] ask = ["--prompt", "What is 8 plus 7?", "--max-new-tokens", "32", "--device", "cpu"];
        ToolRun rounded = await ToolRun.SucceedAsync(["chat", TinyChat, "--quantization", "int4", .. ask]);
        Assert.Equal((await ToolRun.SucceedAsync(["chat", small, .. ask])).Output, rounded.Output);

        ToolRun zip = await ToolRun.RunAsync(["chat", run.Out, "--quantization", "int4", .. ask]);
        Assert.Equal(ExitCode.Usage, zip.Code);
        Assert.Contains("leave --quantization out", zip.Error, StringComparison.Ordinal);
        await ToolRun.SucceedAsync(
            "answer", TinyChat, "--quantization", "int8", "--input", run.Rows, "--output", output, "--max-new-tokens", "4",
            "--device", "cpu");
        Assert.Equal(24, File.ReadLines(output).Count());
    }

    [Fact]
    public async Task A_plan_knows_the_bits_of_a_recipe()
    {
        using TemporaryFolder folder = Fixtures.Temporary();
        TrainedRun.WriteRows(folder.File("rows.jsonl"));
        string recipe = TrainedRun.WriteRecipe(folder.Path, folder.File("out"));
        async Task<long> WeightsAsync(params string[] keys) => Assert.Single(
            (await ToolRun.SucceedAsync(["plan", recipe, "--json", .. keys])).Objects).GetProperty("weightBytes").GetInt64();
        Assert.InRange(await WeightsAsync("--quantization.load_in_4bit", "true"), 1, await WeightsAsync() * 6 / 10);
    }

    [Fact]
    public async Task A_trained_model_is_to_be_merged_first()
    {
        ToolRun failed = await ToolRun.RunAsync("quantize", run.Out, "--output", run.File("never"));

        Assert.Equal(ExitCode.Usage, failed.Code);
        Assert.Contains("merge", failed.Error, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_broken_checkpoint_ends_with_4_and_a_full_output_with_2()
    {
        using TemporaryFolder folder = Fixtures.Temporary();
        await File.WriteAllTextAsync(folder.File("config.json"), "{}");
        ToolRun broken = await ToolRun.RunAsync("quantize", folder.Path, "--output", run.File("never"));
        Assert.Equal(ExitCode.Checkpoint, broken.Code);

        ToolRun full = await ToolRun.RunAsync("quantize", TinyChat, "--output", folder.Path);
        Assert.Equal(ExitCode.Usage, full.Code);
        Assert.Contains("holds files already", full.Error, StringComparison.Ordinal);
    }

    [Fact]
    public async Task An_output_that_cannot_be_written_ends_with_3()
    {
        using TemporaryFolder folder = Fixtures.Temporary();
        await File.WriteAllTextAsync(folder.File("file"), "");
        ToolRun failed = await ToolRun.RunAsync("quantize", TinyChat, "--output", Path.Combine(folder.File("file"), "small"));

        Assert.Equal(ExitCode.Data, failed.Code);
    }
}
