using System.Net;
using System.Net.Http.Json;
using System.Net.Sockets;
using System.Text;
using System.Text.Json.Nodes;

namespace DiffusionGemma;

/// <summary>Requests that cannot be answered: each gets a 4xx that names the member at fault, and disturbs no other.</summary>
public sealed class RefusalTests : IAsyncLifetime
{
    private TestServer _server = null!;

    public async ValueTask InitializeAsync() => _server = await TestServer.StartAsync(options =>
        (options.MaxBodyBytes, options.MaxMessages, options.MaxTools, options.MaxTokens) = (20_000, 4, 2, 64));

    public ValueTask DisposeAsync() => _server.DisposeAsync();

    [Theory]
    [InlineData("model", "7", "model")]
    [InlineData("model", "null", "model")]
    [InlineData("messages", "[]", "messages")]
    [InlineData("messages", "{}", "messages")]
    [InlineData("messages", "[1]", "messages[0]")]
    [InlineData("messages", """[{"content": "x"}]""", "messages[0].role")]
    [InlineData("messages", """[{"role": "robot", "content": "x"}]""", "messages[0].role")]
    [InlineData("messages", """[{"role": "user"}]""", "messages[0].content")]
    [InlineData("messages", """[{"role": "user", "content": 5}]""", "messages[0].content")]
    [InlineData("messages", """[{"role": "user", "content": [{"type": "image_url", "image_url": {}}]}]""", "messages[0].content[0].type")]
    [InlineData("messages", """[{"role": "user", "content": "x", "tool_calls": []}]""", "messages[0].tool_calls")]
    [InlineData("messages", """[{"role": "tool", "content": "x"}]""", "messages[0].tool_call_id")]
    [InlineData("messages", """[{"role": "user", "content": "x", "colour": 1}]""", "messages[0].colour")]
    [InlineData(
        "messages",
        """[{"role": "assistant", "tool_calls": [{"id": "a", "type": "function", "function": {"name": "f", "arguments": "[1]"}}]}]""",
        "messages[0].tool_calls[0].function.arguments")]
    [InlineData(
        "messages",
        """[{"role": "assistant", "tool_calls": [{"id": "a", "function": {"name": "f", "arguments": "{\"a\": \"\\ud83d\"}"}}]}]""",
        "messages[0].tool_calls[0].function.arguments")]
    [InlineData(
        "messages", """[{"role": "assistant", "tool_calls": [{"id": "a", "type": 1, "function": {"name": "f", "arguments": "{}"}}]}]""",
        "messages[0].tool_calls[0].type")]
    [InlineData("tools", "[{\"type\": 1}]", "tools[0].type")]
    [InlineData("max_tokens", "65", "max_tokens")]
    [InlineData("max_tokens", "0", "max_tokens")]
    [InlineData("max_completion_tokens", "1.5", "max_completion_tokens")]
    [InlineData("temperature", "-1", "temperature")]
    [InlineData("temperature", "\"hot\"", "temperature")]
    [InlineData("top_p", "0", "top_p")]
    [InlineData("seed", "1.5", "seed")]
    [InlineData("stop", "[\"\"]", "stop")]
    [InlineData("n", "0", "n")]
    [InlineData("n", "9", "n")]
    [InlineData("stream", "1", "stream")]
    [InlineData("stream_options", "{}", "stream_options")]
    [InlineData("frequency_penalty", "0.5", "frequency_penalty")]
    [InlineData("logprobs", "true", "logprobs")]
    [InlineData("logit_bias", "{\"5\": 1}", "logit_bias")]
    [InlineData("modalities", "[\"audio\"]", "modalities")]
    [InlineData("modalities", "[1]", "modalities")]
    [InlineData("functions", "[]", "functions")]
    [InlineData("reasoning_effort", "\"huge\"", "reasoning_effort")]
    [InlineData("response_format", "{\"type\": \"xml\"}", "response_format.type")]
    [InlineData("response_format", "{\"type\": \"json_schema\"}", "response_format.json_schema")]
    [InlineData("tools", "[{\"type\": \"retrieval\"}]", "tools[0].type")]
    [InlineData("tools", "[{\"type\": \"function\", \"function\": {\"name\": \"a b\"}}]", "tools[0].function.name")]
    [InlineData("tool_choice", "\"required\"", "tool_choice")]
    [InlineData("tool_choice", "{\"type\": \"function\", \"function\": {\"name\": \"g\"}}", "tool_choice.function.name")]
    [InlineData("temprature", "1", "temprature")]
    [InlineData("chat_template_kwargs", "1", "chat_template_kwargs")]
    [InlineData("chat_template_kwargs", "{\"add_generation_prompt\": false}", "chat_template_kwargs.add_generation_prompt")]
    [InlineData("chat_template_kwargs", "{\"messages\": []}", "chat_template_kwargs.messages")]
    public async Task A_member_at_fault_is_named(string member, string value, string param)
    {
        JsonObject body = TestServer.Ask();
        body[member] = JsonNode.Parse(value);
        (HttpStatusCode status, string message, string? named) = await _server.RefusalAsync(body);
        Assert.Equal((HttpStatusCode.BadRequest, param), (status, named));
        Assert.NotEmpty(message);
    }

    [Fact]
    public async Task Too_many_messages_or_tools_are_refused()
    {
        JsonObject body = TestServer.Ask();
        body["messages"] = new JsonArray(
            [.. Enumerable.Range(0, 5).Select(i => new JsonObject { ["role"] = "user", ["content"] = $"{i}" })]);
        Assert.Equal("messages", (await _server.RefusalAsync(body)).Param);
        body = TestServer.Ask();
        body["tools"] = new JsonArray([.. Enumerable.Range(0, 3).Select(i => new JsonObject
        {
            ["type"] = "function", ["function"] = new JsonObject { ["name"] = $"f{i}" },
        })]);
        Assert.Equal("tools", (await _server.RefusalAsync(body)).Param);
    }

    [Fact]
    public async Task Members_that_ask_for_nothing_pass()
    {
        JsonObject body = TestServer.Ask();
        foreach ((string member, string value) in new Dictionary<string, string>
        {
            ["frequency_penalty"] = "0", ["presence_penalty"] = "null", ["logprobs"] = "false", ["logit_bias"] = "{}", ["user"] = "\"me\"",
            ["metadata"] = "{}", ["store"] = "false", ["service_tier"] = "\"auto\"", ["modalities"] = "[\"text\"]", ["top_p"] = "1",
            ["tools"] = "null", ["response_format"] = "{\"type\": \"text\"}", ["stop"] = "\"zzz\"", ["reasoning_effort"] = "\"none\"",
        })
            body[member] = JsonNode.Parse(value);
        using HttpResponseMessage response = await _server.PostAsync(body);
        Assert.Equal(HttpStatusCode.OK, response.StatusCode);
    }

    [Theory]
    [InlineData("{", HttpStatusCode.BadRequest)]
    [InlineData("", HttpStatusCode.BadRequest)]
    [InlineData("[]", HttpStatusCode.BadRequest)]
    [InlineData("""{"model": "a", "model": "b"}""", HttpStatusCode.BadRequest)]
    [InlineData("""{"model": "\ud83d"}""", HttpStatusCode.BadRequest)]
    [InlineData("""{"model": "a", "messages": [{"role": "user", "content": [{"text": "\udc00"}]}]}""", HttpStatusCode.BadRequest)]
    [InlineData("""{"model": "a", "metadata": {"\ud83d": 1}}""", HttpStatusCode.BadRequest)]
    [InlineData("""{"model": "a"} {}""", HttpStatusCode.BadRequest)]
    public async Task A_broken_body_is_refused(string body, HttpStatusCode expected)
    {
        using var content = new StringContent(body, Encoding.UTF8, "application/json");
        using HttpResponseMessage response = await _server.Client.PostAsync("v1/chat/completions", content);
        Assert.Equal(expected, response.StatusCode);
        Assert.NotNull((string?)(await response.Content.ReadFromJsonAsync<JsonNode>())!["error"]!["message"]);
    }

    [Fact]
    public async Task Deep_large_and_foreign_bodies_are_refused_and_the_server_answers_on()
    {
        string deep = "{\"model\": " + new string('[', 5000) + new string(']', 5000) + "}";
        Assert.Equal(HttpStatusCode.BadRequest, await StatusAsync(new StringContent(deep, Encoding.UTF8, "application/json")));
        string large = "{\"model\": \"" + new string('x', 30_000) + "\"}";
        Assert.Equal(HttpStatusCode.RequestEntityTooLarge, await StatusAsync(new StringContent(large, Encoding.UTF8, "application/json")));
        Assert.Equal(HttpStatusCode.UnsupportedMediaType, await StatusAsync(new StringContent("{}", Encoding.UTF8, "text/plain")));
        Assert.Equal(
            HttpStatusCode.UnsupportedMediaType,
            await StatusAsync(new FormUrlEncodedContent([new("model", TestServer.Model)])));

        // A sender that hangs up in the middle of its body.
        using (var half = new TcpClient("127.0.0.1", _server.Address.Port))
            await half.GetStream().WriteAsync(Encoding.ASCII.GetBytes(
                "POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
                + "Content-Length: 100\r\n\r\n{\"mo"));
        using HttpResponseMessage response = await _server.PostAsync(TestServer.Ask());
        Assert.Equal(HttpStatusCode.OK, response.StatusCode);

        async Task<HttpStatusCode> StatusAsync(HttpContent content)
        {
            using HttpResponseMessage refused = await _server.Client.PostAsync("v1/chat/completions", content);
            return refused.StatusCode;
        }
    }

    [Fact]
    public async Task Unknown_models_and_addresses_are_404()
    {
        JsonObject body = TestServer.Ask();
        body["model"] = "gpt";
        (HttpStatusCode status, _, string? param) = await _server.RefusalAsync(body);
        Assert.Equal((HttpStatusCode.NotFound, "model"), (status, param));
        foreach (string path in (string[])["v1/models/gpt", "v1/embeddings"])
        {
            using HttpResponseMessage response = await _server.Client.GetAsync(path);
            Assert.Equal(HttpStatusCode.NotFound, response.StatusCode);
            Assert.NotNull((await response.Content.ReadFromJsonAsync<JsonNode>())!["error"]!["code"]);
        }
    }
}
