using System.IO.Compression;
using System.Text;

namespace DiffusionGemma;

/// <summary>A token and a secret of the environment are in nothing that a run leaves.</summary>
[Collection(OneByOne.Name)]
public sealed class SecretTests
{
    private const string GroupSecret = "the-secret-of-the-process-group";

    [Fact]
    public async Task All_output_of_a_run_is_without_them()
    {
        await using LoopbackHub hub = await LoopbackHub.StartAsync();
        var model = new ServedRepository { Id = "org/tiny-chat" };
        foreach (string file in Directory.EnumerateFiles(Fixtures.Checkpoint("tiny-chat")))
            model.Files.Add(Path.GetFileName(file), File.ReadAllBytes(file));
        model.Large.Add("model.safetensors");
        hub.Models.Add(model);
        hub.Intercept = (context, request) =>
        {
            if (!request.Path.Contains("org/missing", StringComparison.Ordinal)) return Task.FromResult(false);
            LoopbackHub.Fail(context, 401, "", $"Invalid: {request.Authorization}");
            return Task.FromResult(true);
        };
        using TemporaryFolder folder = Fixtures.Temporary();
        Dictionary<string, string?> environment = new()
        {
            ["HF_ENDPOINT"] = hub.Endpoint.AbsoluteUri, ["HF_HOME"] = folder.File("home"), ["HF_TOKEN"] = LoopbackHub.Token,
            ["DIFFUSIONGEMMA_SECRET"] = GroupSecret, ["HF_HUB_OFFLINE"] = null, ["HF_HUB_CACHE"] = null,
        };
        TrainedRun.WriteRows(folder.File("rows.jsonl"));
        string output = folder.File("out"), recipe = TrainedRun.WriteRecipe(folder.Path, output, "org/tiny-chat");
        string[][] commands =
        [
            ["train", recipe, "--step_scheduler.max_steps", "2", "--device", "cpu", "--json"],
            ["chat", output, "--prompt", "What is 8 plus 7?", "--max-new-tokens", "32"],
            ["download", "org/missing"],
            ["train", recipe, "--dllm.mode", "none"],
        ];
        StringBuilder said = new();
        List<int> codes = [];
        foreach (string[] command in commands)
        {
            using var process = new ToolProcess(environment, command);
            codes.Add(process.Wait());
            said.Append(process.Said);
        }
        Assert.Equal([0, 0], codes[..2]);
        Assert.All(codes[2..], code => Assert.NotEqual(0, code));
        Assert.Contains("***", said.ToString(), StringComparison.Ordinal);                       // the server repeated the token
        Assert.Contains(hub.Requests, request => request.Authorization == $"Bearer {LoopbackHub.Token}");
        AssertNoSecret("the tool's output", said.ToString());
        string[] files = Directory.GetFiles(folder.Path, "*", SearchOption.AllDirectories);
        Assert.Contains(files, file => file.EndsWith(".zip", StringComparison.Ordinal));
        foreach (string file in files)
        {
            AssertNoSecret(file, file);
            AssertNoSecret(file, Encoding.Latin1.GetString(await File.ReadAllBytesAsync(file)));
            if (!file.EndsWith(".zip", StringComparison.Ordinal)) continue;
            using ZipArchive zip = ZipFile.OpenRead(file);
            foreach (ZipArchiveEntry entry in zip.Entries)
            {
                using var reader = new StreamReader(entry.Open(), Encoding.Latin1);
                AssertNoSecret($"{file}: {entry.FullName}", await reader.ReadToEndAsync());
            }
        }
    }

    private static void AssertNoSecret(string place, string text)
    {
        foreach (string secret in (string[])[LoopbackHub.Token, GroupSecret])
            Assert.False(text.Contains(secret, StringComparison.OrdinalIgnoreCase), $"A secret is in {place}.");
    }
}
