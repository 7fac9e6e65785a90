using System.Net;
using System.Net.Http.Json;
using System.Text.Json.Nodes;
using Microsoft.AspNetCore.Builder;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;

namespace DiffusionGemma;

/// <summary>Access to the endpoints: hosts, keys, limits, stopping; and what is logged.</summary>
public class AccessTests
{
    private const string Key = "a key of the tests, long enough";

    [Fact]
    public async Task Only_loopback_and_named_hosts_are_answered()
    {
        await using TestServer server = await TestServer.StartAsync(options => options.AllowedHosts.Add("gemma.example"));
        foreach ((string host, HttpStatusCode expected) in new[]
        {
            ("localhost", HttpStatusCode.OK), ("127.0.0.1:99", HttpStatusCode.OK), ("[::1]", HttpStatusCode.OK),
            ("GEMMA.example", HttpStatusCode.OK), ("evil.example", HttpStatusCode.Forbidden),
            ("127.0.0.1.evil.example", HttpStatusCode.Forbidden),
        })
        {
            foreach (string path in (string[])["/", "/v1/models"])
            {
                using var request = new HttpRequestMessage(HttpMethod.Get, path) { Headers = { Host = host } };
                using HttpResponseMessage response = await server.Client.SendAsync(request);
                Assert.True(expected == response.StatusCode, $"{host} {path}: {response.StatusCode}");
                Assert.False(response.Headers.Contains("Access-Control-Allow-Origin"));
            }
        }
    }

    [Fact]
    public async Task A_key_guards_the_api_and_neither_health_nor_page()
    {
        await using TestServer server = await TestServer.StartAsync(options => options.ApiKey = Key);
        foreach (string? header in (string?[])[null, "Bearer", "Bearer ", "Bearer wrong", $"Basic {Key}", $"Bearer {Key}x"])
        {
            using HttpResponseMessage refused = await GetAsync("v1/models", header);
            Assert.Equal(HttpStatusCode.Unauthorized, refused.StatusCode);
            Assert.Equal("Bearer", refused.Headers.WwwAuthenticate.Single().Scheme);
        }
        using (HttpResponseMessage allowed = await GetAsync("v1/models", $"bearer {Key}"))
            Assert.Equal(HttpStatusCode.OK, allowed.StatusCode);
        foreach (string path in (string[])["", "health", "page.js", "page.css"])
        {
            using HttpResponseMessage open = await GetAsync(path, null);
            Assert.Equal(HttpStatusCode.OK, open.StatusCode);
        }
        Assert.True((bool?)(await server.Client.GetFromJsonAsync<JsonNode>("page.json"))!["asksForKey"]);
        Assert.DoesNotContain(server.Log.Lines, line => line.Contains(Key, StringComparison.Ordinal));

        Task<HttpResponseMessage> GetAsync(string path, string? authorization)
        {
            var request = new HttpRequestMessage(HttpMethod.Get, path);
            if (authorization is not null) request.Headers.TryAddWithoutValidation("Authorization", authorization);
            return server.Client.SendAsync(request);
        }
    }

    [Fact]
    public async Task Beyond_the_limit_requests_are_429_and_none_is_lost()
    {
        await using TestServer server = await TestServer.StartAsync(options => options.MaxRequests = 2, batchSize: 1);
        await server.Application.Services.GetRequiredService<DiffusionGemmaService>().GetClientAsync();
        JsonObject body = TestServer.Ask();
        body["max_tokens"] = 128;
        HttpResponseMessage[] responses = await Task.WhenAll(Enumerable.Range(0, 8).Select(_ => server.PostAsync(body)));
        Assert.Equal(8, responses.Length);
        Assert.All(responses, response => Assert.True(response.StatusCode is HttpStatusCode.OK or HttpStatusCode.TooManyRequests));
        Assert.InRange(responses.Count(response => response.StatusCode == HttpStatusCode.OK), 2, 7);
        Assert.All(responses.Where(response => response.StatusCode == HttpStatusCode.TooManyRequests),
            response => Assert.NotNull(response.Headers.RetryAfter));
        foreach (HttpResponseMessage response in responses) response.Dispose();
    }

    [Fact]
    public async Task A_stopping_server_ends_its_answers_and_takes_no_more()
    {
        await using TestServer server = await TestServer.StartAsync();
        JsonObject body = TestServer.Ask();
        body["stream"] = true;
        body["max_tokens"] = 512;
        body["stream_options"] = new JsonObject { ["include_drafts"] = true };
        using var request = new HttpRequestMessage(HttpMethod.Post, "v1/chat/completions") { Content = JsonContent.Create(body) };
        using HttpResponseMessage running = await server.Client.SendAsync(request, HttpCompletionOption.ResponseHeadersRead);
        Task<string> rest = running.Content.ReadAsStringAsync();
        server.Application.Services.GetRequiredService<IHostApplicationLifetime>().StopApplication();
        using HttpResponseMessage refused = await server.PostAsync(TestServer.Ask());
        Assert.Equal(HttpStatusCode.ServiceUnavailable, refused.StatusCode);
        using HttpResponseMessage health = await server.Client.GetAsync("health");
        Assert.Equal(HttpStatusCode.ServiceUnavailable, health.StatusCode);
        Assert.EndsWith("data: [DONE]\n\n", await rest, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Prompts_are_logged_on_request_alone()
    {
        const string Question = "What is the password of the safe?";
        foreach (bool logs in (bool[])[false, true])
        {
            await using TestServer server = await TestServer.StartAsync(options => options.LogsPrompts = logs);
            using HttpResponseMessage response = await server.PostAsync(TestServer.Ask(Question));
            Assert.Equal(HttpStatusCode.OK, response.StatusCode);
            Assert.Equal(logs, server.Log.Lines.Any(line => line.Contains(Question, StringComparison.Ordinal)));
        }
    }

    [Fact]
    public async Task A_model_that_cannot_be_loaded_is_503_and_the_folder_is_in_the_log_alone()
    {
        string folder = Directory.CreateTempSubdirectory("no-checkpoint").FullName;
        await using TestServer server = await TestServer.StartAsync(checkpoint: folder);
        (HttpStatusCode status, string message, _) = await server.RefusalAsync(TestServer.Ask());
        Assert.Equal(HttpStatusCode.ServiceUnavailable, status);
        Assert.DoesNotContain(folder, message, StringComparison.Ordinal);
        Assert.Contains(server.Log.Lines, line => line.Contains(folder, StringComparison.Ordinal));
        using HttpResponseMessage health = await server.Client.GetAsync("health");
        Assert.Equal("failed", (string?)(await health.Content.ReadFromJsonAsync<JsonNode>())!["status"]);
        Directory.Delete(folder);
    }

    [Fact]
    public void Options_are_checked_together_and_a_model_must_be_registered()
    {
        string message = Assert.Throws<ArgumentException>(() => WebApplication.CreateSlimBuilder().Build().MapDiffusionGemma(options =>
        {
            (options.MaxRequests, options.Timeout, options.ApiKey) = (0, TimeSpan.Zero, "short");
        })).Message;
        foreach (string name in (string[])["MaxRequests", "Timeout", "ApiKey"]) Assert.Contains(name, message, StringComparison.Ordinal);
        Assert.DoesNotContain("short'", message, StringComparison.Ordinal);
        Assert.Contains("AddDiffusionGemma", Assert.Throws<InvalidOperationException>(
            () => WebApplication.CreateSlimBuilder().Build().MapDiffusionGemma()).Message, StringComparison.Ordinal);
    }
}
