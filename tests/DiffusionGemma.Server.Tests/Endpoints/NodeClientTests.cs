using System.Diagnostics;
using System.Text.Json.Nodes;
using Microsoft.Extensions.AI;
using Microsoft.Extensions.DependencyInjection;

namespace DiffusionGemma;

/// <summary>OpenAI's client of npm, in node: models, answers whole and streamed, a schema, choices, errors as its own exceptions.</summary>
public sealed class NodeClientTests
{
    private const string Package = "openai@6.30.1", Key = "a key of the tests, long enough", Question = "What is 2 plus 3?";

    private const int Seed = 3;

    [Fact]
    public async Task The_openai_package_of_npm_works_as_it_is()
    {
        string modules = Directory.CreateDirectory(Path.Combine(Fixtures.Root, "out", "openai")).FullName;
        if (!Directory.Exists(Path.Combine(modules, "node_modules", "openai")))
        {
            string? missing = (await RunAsync("npm", "install", "--silent", "--no-save", "--fetch-retries=1", "--fetch-timeout=60000",
                "--prefix", modules, Package)).Fault;
            Assert.SkipWhen(missing is not null, $"npm's {Package} cannot be had ({missing})");
        }
        await using TestServer server = await TestServer.StartAsync(options => options.ApiKey = Key);
        string script = Path.Combine(Fixtures.Root, "tests", "tools", "openai_client.mjs");
        (string output, string? fault) = await RunAsync(
            "node", script, modules, new Uri(server.Address, "v1").ToString(), Key, TestServer.Model, Question, $"{Seed}");
        Assert.Null(fault);
        JsonNode got = JsonNode.Parse(output)!;

        DiffusionGemmaChatClient client = await server.Application.Services.GetRequiredService<DiffusionGemmaService>().GetClientAsync();
        ChatResponse first = await client.GetResponseAsync(Question, new ChatOptions { Seed = Seed, MaxOutputTokens = 64 });
        ChatResponse second = await client.GetResponseAsync(Question, new ChatOptions { Seed = Seed + 1, MaxOutputTokens = 64 });
        Assert.Equal([TestServer.Model], got["models"]!.AsArray().Select(model => (string?)model));
        Assert.Equal((first.Text, first.Text), ((string?)got["whole"], (string?)got["streamed"]));
        Assert.Equal("stop", (string?)got["finish"]);
        Assert.Equal(first.Usage!.OutputTokenCount, (long)got["usage"]!["completion_tokens"]!);
        Assert.True(JsonNode.DeepEquals(got["usage"], got["streamedUsage"]));
        Assert.IsType<int>((int)JsonNode.Parse((string)got["typed"]!)!["sum"]!);
        Assert.Equal([first.Text, second.Text], got["choices"]!.AsArray().Select(choice => (string?)choice));
        Assert.Equal((400, "temperature", "BadRequestError"), Refusal("badMember"));
        Assert.Equal((404, "model", "NotFoundError"), Refusal("noModel"));
        Assert.Equal((401, null, "AuthenticationError"), Refusal("wrongKey"));

        (int, string?, string?) Refusal(string name) =>
            ((int)got[name]!["status"]!, (string?)got[name]!["param"], (string?)got[name]!["kind"]);
    }

    private static async Task<(string Output, string? Fault)> RunAsync(string program, params string[] arguments)
    {
        try
        {
            using Process process =
                Process.Start(new ProcessStartInfo(program, arguments) { RedirectStandardOutput = true, RedirectStandardError = true })!;
            Task<string> error = process.StandardError.ReadToEndAsync();
            string output = await process.StandardOutput.ReadToEndAsync();
            await process.WaitForExitAsync();
            return (output, process.ExitCode == 0 ? null : $"{program} failed: {(await error).Trim()}");
        }
        catch (Exception exception) when (exception is System.ComponentModel.Win32Exception or IOException)
        {
            return ("", $"{program} is not there: {exception.Message}");
        }
    }
}
