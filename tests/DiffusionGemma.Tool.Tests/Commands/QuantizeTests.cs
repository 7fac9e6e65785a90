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
