namespace DiffusionGemma.Commands;

[Collection(OneByOne.Name)]
public sealed class VerifyTests(TrainedRun run)
{
    /// <summary>Loading a large file reads 1 MiB of it; here a byte between these is found.</summary>
    [Fact]
    public async Task Every_byte_of_a_folder_is_compared()
    {
        string folder = run.File("verified"), weights = Path.Combine(folder, "model.safetensors");
        await ToolRun.SucceedAsync("quantize", Fixtures.Checkpoint("tiny-chat"), "--output", folder, "--bits", "8");
        ToolRun whole = await ToolRun.SucceedAsync("verify", folder, "--json");
        Assert.Equal(folder, Assert.Single(whole.Events("verified")).GetProperty("model").GetString());

        byte[] bytes = await File.ReadAllBytesAsync(weights);
        bytes[bytes.Length / 3] ^= 4;
        await File.WriteAllBytesAsync(weights, bytes);
        ToolRun failed = await ToolRun.RunAsync("verify", folder);
        Assert.Equal(ExitCode.Checkpoint, failed.Code);
        Assert.Contains(folder, failed.Error, StringComparison.Ordinal);
        Assert.Contains("holds model.safetensors with other bytes", failed.Error, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_folder_without_digests_is_not_said_to_be_whole()
    {
        ToolRun failed = await ToolRun.RunAsync("verify", Fixtures.Checkpoint("tiny-chat"));
        Assert.Equal(ExitCode.Checkpoint, failed.Code);
        Assert.Contains("cannot be verified: SHA256SUMS beside it does not list it", failed.Error, StringComparison.Ordinal);
        Assert.DoesNotContain("without verify", failed.Error, StringComparison.Ordinal);
    }
}
