using System.Net;
using System.Net.Http.Headers;
using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;
using Microsoft.AspNetCore.Http;

namespace DiffusionGemma;

/// <summary>Whatever a client sends, it is answered or refused with a reason; none is a failure of the server's own.</summary>
public sealed class RequestFuzzTests
{
    private const string Request = """
        {"model": "tiny-chat", "seed": 3, "max_tokens": 1, "stop": ["x"], "temperature": 0.5, "top_p": 0.9, "n": 1, "stream": false,
         "messages": [{"role": "system", "content": "s"}, {"role": "user", "content": [{"type": "text", "text": "q"}], "name": "me"},
          {"role": "assistant", "content": null,
           "tool_calls": [{"id": "c", "type": "function", "function": {"name": "f", "arguments": "{\"a\": [1, null]}"}}]},
          {"role": "tool", "tool_call_id": "c", "content": "7"}, {"role": "user", "content": "q"}],
         "tools": [{"type": "function", "function": {"name": "f", "description": "d", "parameters":
          {"type": "object", "properties": {"a": {"type": "array", "items": {"type": "integer"}}}}}}], "tool_choice": "auto",
         "response_format": {"type": "json_schema", "json_schema": {"name": "n", "schema": {"type": "integer", "maximum": 9}}},
         "reasoning_effort": "low", "chat_template_kwargs": {"enable_thinking": false}}
        """;

    private static readonly string[] Originals = [Request, Simple()];

    [Fact]
    public void Broken_requests_are_refused_with_a_reason()
    {
        var options = new DiffusionGemmaServerOptions();
        var reader = new CompletionRequestReader(options);
        new MutationFuzzer
        {
            Name = "request", Make = random => Mutations.OfJsonText(random, Originals[random.Next(Originals.Length)]),
            Read = bytes =>
            {
                var context = new DefaultHttpContext();
                (context.Request.Body, context.Request.ContentType) = (new MemoryStream(bytes), "application/json");
                try
                {
                    using JsonDocument body =
                        RequestBody.ReadAsync(context.Request, options.MaxBodyBytes, default).GetAwaiter().GetResult();
                    Assert.NotEmpty(reader.Read(body.RootElement).Messages);
                }
                catch (OpenAIError error)
                {
                    Assert.InRange(error.Status, 400, 499);
                    Assert.NotEmpty(error.Message);
                }
            },
        }.Run();
    }

    /// <summary>The same over a connection, with a model behind it: what the chat client refuses is no failure either.</summary>
    [Fact]
    public async Task A_broken_request_over_a_connection_is_no_failure_of_the_server()
    {
        await using TestServer server = await TestServer.StartAsync();
        var fuzzer = new MutationFuzzer
        {
            Name = "request-answered", Mutations = 12,                                                    // a canvas each
            Make = random => Mutations.OfJsonText(random, Originals[random.Next(Originals.Length)]),
            Read = bytes =>
            {
                using var content = new ByteArrayContent(bytes);
                content.Headers.ContentType = new MediaTypeHeaderValue("application/json");
                using HttpResponseMessage response =
                    server.Client.PostAsync("v1/chat/completions", content).GetAwaiter().GetResult();
                string text = response.Content.ReadAsStringAsync().GetAwaiter().GetResult();
                Assert.True((int)response.StatusCode < 500, $"{response.StatusCode} {text} for {Encoding.UTF8.GetString(bytes)}");
                if (response.StatusCode != HttpStatusCode.OK) Assert.NotEmpty((string)JsonNode.Parse(text)!["error"]!["message"]!);
            },
        };
        await Task.Run(fuzzer.Run);
    }

    private static string Simple()
    {
        JsonObject simple = JsonNode.Parse(Request)!.AsObject();
        foreach (string key in (string[])["tools", "tool_choice", "response_format", "reasoning_effort"]) simple.Remove(key);
        simple["messages"] = new JsonArray(new JsonObject { ["role"] = "user", ["content"] = "q" });
        return simple.ToJsonString();
    }
}
