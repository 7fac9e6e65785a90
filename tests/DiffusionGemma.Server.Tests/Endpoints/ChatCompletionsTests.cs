using System.Net;
using System.Net.Http.Json;
using System.Text.Json;
using System.Text.Json.Nodes;
using Microsoft.Extensions.AI;
using Microsoft.Extensions.DependencyInjection;

namespace DiffusionGemma;

/// <summary>Answers over HTTP, which are the chat client's own for the same seed.</summary>
public sealed class ChatCompletionsTests : IAsyncLifetime
{
    private TestServer _server = null!;

    public async ValueTask InitializeAsync() => _server = await TestServer.StartAsync();

    public ValueTask DisposeAsync() => _server.DisposeAsync();

    [Fact]
    public async Task A_whole_answer_is_the_chat_clients()
    {
        ChatResponse expected = await ExpectedAsync(seed: 3);
        using HttpResponseMessage response = await _server.PostAsync(TestServer.Ask());
        Assert.Equal(HttpStatusCode.OK, response.StatusCode);
        JsonNode completion = (await response.Content.ReadFromJsonAsync<JsonNode>())!;
        Assert.Equal("chat.completion", (string?)completion["object"]);
        Assert.Equal(TestServer.Model, (string?)completion["model"]);
        JsonNode choice = Assert.Single(completion["choices"]!.AsArray())!;
        Assert.Equal(expected.Text, (string?)choice["message"]!["content"]);
        Assert.Equal("assistant", (string?)choice["message"]!["role"]);
        Assert.Equal(expected.FinishReason!.Value.Value, (string?)choice["finish_reason"]);
        Assert.Equal(expected.Usage!.InputTokenCount, (long?)completion["usage"]!["prompt_tokens"]);
        Assert.Equal(expected.Usage.OutputTokenCount, (long?)completion["usage"]!["completion_tokens"]);
        Assert.Equal(expected.Usage.TotalTokenCount, (long?)completion["usage"]!["total_tokens"]);
    }

    [Fact]
    public async Task A_stream_has_the_same_text_a_finish_and_the_usage()
    {
        ChatResponse expected = await ExpectedAsync(seed: 3);
        JsonObject body = TestServer.Ask();
        body["stream"] = true;
        body["stream_options"] = new JsonObject { ["include_usage"] = true };
        (string? Name, JsonNode? Data)[] events = [.. await EventsAsync(body)];
        Assert.All(events, item => Assert.Null(item.Name));
        Assert.Null(events[^1].Data);                                           // [DONE]
        JsonNode[] chunks = [.. events[..^1].Select(item => item.Data!)];
        Assert.All(chunks, chunk => Assert.Equal("chat.completion.chunk", (string?)chunk["object"]));
        Assert.Single(chunks.Select(chunk => (string?)chunk["id"]).Distinct());
        JsonNode[] deltas = [.. chunks.SelectMany(chunk => chunk["choices"]!.AsArray()).Select(choice => choice!["delta"]!)];
        Assert.Equal("assistant", (string?)deltas[0]["role"]);
        Assert.Equal(expected.Text, string.Concat(deltas.Select(delta => (string?)delta["content"])));
        Assert.Equal("stop", (string?)chunks[^2]["choices"]![0]!["finish_reason"]);
        Assert.Equal(expected.Usage!.OutputTokenCount, (long?)chunks[^1]["usage"]!["completion_tokens"]);
    }

    [Fact]
    public async Task Drafts_are_events_of_their_own_and_only_on_request()
    {
        JsonObject body = TestServer.Ask();
        body["stream"] = true;
        body["stream_options"] = new JsonObject { ["include_drafts"] = true };
        (string? Name, JsonNode? Data)[] events = [.. await EventsAsync(body)];
        JsonNode[] drafts = [.. events.Where(item => item.Name == "draft").Select(item => item.Data!)];
        Assert.NotEmpty(drafts);
        int length = drafts[0]["tokens"]!.AsArray().Count;
        Assert.Equal(Enumerable.Range(0, drafts.Length), drafts.Select(draft => (int)draft["step"]!));
        Assert.All(drafts, draft => Assert.Equal(
            (length, length), (draft["settled"]!.AsArray().Count, draft["entropies"]!.AsArray().Count)));
        string text = string.Concat(events.Where(item => item.Name is null && item.Data is not null)
            .Select(item => (string?)item.Data!["choices"]![0]!["delta"]!["content"]));
        Assert.StartsWith(text, string.Concat(drafts[^1]["tokens"]!.AsArray().Select(token => (string?)token)), StringComparison.Ordinal);
    }

    [Fact]
    public async Task Choices_have_seeds_of_their_own()
    {
        JsonObject body = TestServer.Ask("Tell me about numbers.");
        body["n"] = 3;
        body["temperature"] = 1;
        using HttpResponseMessage response = await _server.PostAsync(body);
        JsonNode completion = (await response.Content.ReadFromJsonAsync<JsonNode>())!;
        string?[] texts = [.. completion["choices"]!.AsArray().Select(choice => (string?)choice!["message"]!["content"])];
        Assert.Equal(3, texts.Length);
        Assert.True(texts.Distinct().Count() > 1, string.Join(" | ", texts));
        body["n"] = 1;
        body["seed"] = 5;                                                       // that of the third choice
        using HttpResponseMessage third = await _server.PostAsync(body);
        Assert.Equal(texts[2], (string?)(await third.Content.ReadFromJsonAsync<JsonNode>())!["choices"]![0]!["message"]!["content"]);
    }

    [Fact]
    public async Task An_answer_under_a_schema_is_an_instance_of_it()
    {
        JsonObject body = TestServer.Ask();
        body["max_tokens"] = 96;
        body["response_format"] = JsonNode.Parse("""
            {"type": "json_schema", "json_schema": {"name": "sum", "strict": true, "schema":
              {"type": "object", "properties": {"total": {"type": "integer"}}, "required": ["total"], "additionalProperties": false}}}
            """);
        using HttpResponseMessage response = await _server.PostAsync(body);
        string text = (string)(await response.Content.ReadFromJsonAsync<JsonNode>())!["choices"]![0]!["message"]!["content"]!;
        Assert.Equal(JsonValueKind.Number, JsonDocument.Parse(text).RootElement.GetProperty("total").ValueKind);
    }

    [Fact]
    public async Task A_client_that_goes_away_frees_its_row()
    {
        JsonObject body = TestServer.Ask();
        body["stream"] = true;
        body["max_tokens"] = 512;
        body["stream_options"] = new JsonObject { ["include_drafts"] = true };
        using (var request = new HttpRequestMessage(HttpMethod.Post, "v1/chat/completions") { Content = JsonContent.Create(body) })
        using (HttpResponseMessage response = await _server.Client.SendAsync(request, HttpCompletionOption.ResponseHeadersRead))
            await (await response.Content.ReadAsStreamAsync()).ReadExactlyAsync(new byte[16]);
        GenerationQueue queue = (await _server.Application.Services.GetRequiredService<DiffusionGemmaService>().GetClientAsync())
            .GetService<GenerationQueue>()!;
        using var limit = new CancellationTokenSource(TimeSpan.FromMinutes(2));
        while (queue.Status.Running > 0) await Task.Delay(20, limit.Token);
        JsonNode health = (await _server.Client.GetFromJsonAsync<JsonNode>("health"))!;
        Assert.Equal(("ready", 0), ((string?)health["status"], (int?)health["requests"]));
    }

    private async Task<ChatResponse> ExpectedAsync(long seed)
    {
        DiffusionGemmaChatClient client = await _server.Application.Services.GetRequiredService<DiffusionGemmaService>().GetClientAsync();
        return await client.GetResponseAsync("What is 2 plus 3?", new ChatOptions { Seed = seed, MaxOutputTokens = 32 });
    }

    private async Task<List<(string? Name, JsonNode? Data)>> EventsAsync(JsonObject body)
    {
        using HttpResponseMessage response = await _server.PostAsync(body);
        Assert.Equal("text/event-stream", response.Content.Headers.ContentType!.MediaType);
        string text = await response.Content.ReadAsStringAsync();
        var events = new List<(string?, JsonNode?)>();
        foreach (string block in text.Split("\n\n", StringSplitOptions.RemoveEmptyEntries))
        {
            string? Field(string name) => block.Split('\n').FirstOrDefault(line => line.StartsWith(name + ": ", StringComparison.Ordinal))?
                [(name.Length + 2)..];

            string data = Field("data")!;
            events.Add((Field("event"), data == "[DONE]" ? null : JsonNode.Parse(data)));
        }
        return events;
    }
}
