using System.Net;
using System.Net.Http.Headers;
using System.Net.Http.Json;
using System.Net.Sockets;
using System.Text.Json;
using System.Text.Json.Nodes;

namespace DiffusionGemma.Processes;

/// <summary>The server as a process of its own.</summary>
[Collection(OneByOne.Name)]
public sealed class ServeTests(TrainedRun run)
{
    private const string Key = "a key of the tests, long enough", Variable = DiffusionGemmaServerOptions.ApiKeyVariable;

    private static readonly Dictionary<string, string?> WithoutKey = new() { [Variable] = null };

    [Fact]
    public async Task A_served_model_answers_until_Ctrl_C_and_a_running_answer_ends()
    {
        if (OperatingSystem.IsWindows()) Assert.Skip("Windows has no kill -INT.");
        using var process = new ToolProcess(
            new Dictionary<string, string?> { [Variable] = Key },
            "serve", Fixtures.Checkpoint("tiny-chat"), "--port", "0", "--device", "cpu", "--name", "tiny", "--json");
        using HttpClient client = Client(process);
        Assert.Equal(HttpStatusCode.OK, (await client.GetAsync("health")).StatusCode);
        Assert.Equal(HttpStatusCode.OK, (await client.GetAsync("")).StatusCode);
        foreach (string path in (string[])["v1/models", "metrics"])
            Assert.Equal(HttpStatusCode.Unauthorized, (await client.GetAsync(path)).StatusCode);
        client.DefaultRequestHeaders.Authorization = new AuthenticationHeaderValue("Bearer", Key);

        JsonObject body = Ask("tiny");
        using (HttpResponseMessage answer = await client.PostAsJsonAsync("v1/chat/completions", body))
        {
            Assert.Equal(HttpStatusCode.OK, answer.StatusCode);
            Assert.NotEmpty((string)(await answer.Content.ReadFromJsonAsync<JsonNode>())!["choices"]![0]!["message"]!["content"]!);
        }
        string metrics = await client.GetStringAsync("metrics");
        Assert.Contains("diffusiongemma_denoising_pass_duration_seconds_count", metrics, StringComparison.Ordinal);
        Assert.Contains("le=\"0.005\"", metrics, StringComparison.Ordinal);
        Assert.DoesNotContain("2 plus 3", metrics, StringComparison.Ordinal);

        body["stream"] = true;
        body["max_tokens"] = 512;
        body["stream_options"] = new JsonObject { ["include_drafts"] = true };
        using var request = new HttpRequestMessage(HttpMethod.Post, "v1/chat/completions") { Content = JsonContent.Create(body) };
        using HttpResponseMessage running = await client.SendAsync(request, HttpCompletionOption.ResponseHeadersRead);
        process.Signal("INT");
        Assert.EndsWith("data: [DONE]\n\n", await running.Content.ReadAsStringAsync(), StringComparison.Ordinal);
        Assert.Equal(ExitCode.Cancelled, process.Wait());
        Assert.Contains("Ctrl+C again ends at once", process.Said, StringComparison.Ordinal);
        Assert.DoesNotContain(Key, process.Said, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_trained_run_is_served_under_its_folders_name_and_the_loopback_needs_no_key()
    {
        if (OperatingSystem.IsWindows()) Assert.Skip("Windows has no kill -TERM.");
        using var process = new ToolProcess(WithoutKey, "serve", run.Out, "--port", "0", "--device", "cpu", "--json", "--no-page", "--runs",
            run.Out, "--adapter", $"again={run.Out}");
        using HttpClient client = Client(process);
        JsonNode models = (await client.GetFromJsonAsync<JsonNode>("v1/models"))!;
        Assert.Equal(["out", "again", "out-base"], models["data"]!.AsArray().Select(model => (string?)model!["id"]));
        Assert.Equal(HttpStatusCode.NotFound, (await client.GetAsync("")).StatusCode);
        foreach (string model in (string[])["out", "again", "out-base"])
        {
            using HttpResponseMessage answer = await client.PostAsJsonAsync("v1/chat/completions", Ask(model));
            Assert.Equal(HttpStatusCode.OK, answer.StatusCode);
        }
        JsonNode history = (await client.GetFromJsonAsync<JsonNode>("runs/out"))!;
        Assert.Equal(4, history["steps"]!["Loss"]!.AsArray().Count);
        Assert.Equal(4, (int)history["options"]!["Lora.Rank"]!);
        process.Signal("TERM");
        Assert.Equal(ExitCode.Cancelled, process.Wait());
    }

    [Fact]
    public async Task A_port_that_is_taken_ends_with_2_and_a_broken_checkpoint_with_4()
    {
        using var other = new TcpListener(IPAddress.Loopback, 0);
        other.Start();
        string port = $"{((IPEndPoint)other.LocalEndpoint).Port}";
        ToolRun taken = await ToolRun.RunAsync("serve", Fixtures.Checkpoint("tiny-chat"), "--port", port, "--device", "cpu");
        Assert.Equal(ExitCode.Usage, taken.Code);
        Assert.Contains("name another --port", taken.Error, StringComparison.Ordinal);

        using TemporaryFolder folder = Fixtures.Temporary();
        await File.WriteAllTextAsync(folder.File("config.json"), "{}");
        ToolRun broken = await ToolRun.RunAsync("serve", folder.Path, "--port", "0", "--device", "cpu");
        Assert.Equal(ExitCode.Checkpoint, broken.Code);
        Assert.Contains(folder.Path, broken.Error, StringComparison.Ordinal);
    }

    private static JsonObject Ask(string model) => new()
    {
        ["model"] = model,
        ["messages"] = new JsonArray(new JsonObject { ["role"] = "user", ["content"] = "What is 2 plus 3?" }),
        ["seed"] = 3,
        ["max_tokens"] = 32,
    };

    /// <summary>A client of a server that has loaded its model.</summary>
    private static HttpClient Client(ToolProcess process)
    {
        const string Event = "\"event\":\"serving\"";
        process.WaitFor(Event);
        string line = process.Said.Split('\n').Single(line => line.Contains(Event, StringComparison.Ordinal));
        using JsonDocument serving = JsonDocument.Parse(line);
        string api = serving.RootElement.GetProperty("api").GetString()!;
        return new HttpClient { BaseAddress = new Uri(api[..^"v1".Length]), Timeout = TimeSpan.FromMinutes(4) };
    }
}
