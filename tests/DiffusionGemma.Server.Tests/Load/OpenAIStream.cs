using System.Net;
using System.Net.Http.Json;
using System.Text.Json;
using System.Text.Json.Nodes;

namespace DiffusionGemma;

/// <summary>Streamed answers over HTTP.</summary>
internal sealed class OpenAIStream(Uri address) : IDisposable
{
    private readonly HttpClient _client = new() { BaseAddress = address, Timeout = TimeSpan.FromMinutes(5) };

    public async Task<LoadAnswer> AskAsync(string question, int seed, int tokens)
    {
        JsonObject body = TestServer.Ask(question);
        (body["seed"], body["max_tokens"], body["stream"]) = (seed, tokens, true);
        var answer = new LoadAnswer(0);
        using var request = new HttpRequestMessage(HttpMethod.Post, "v1/chat/completions") { Content = JsonContent.Create(body) };
        using HttpResponseMessage response = await _client.SendAsync(request, HttpCompletionOption.ResponseHeadersRead);
        Assert.Equal(HttpStatusCode.OK, response.StatusCode);
        using var reader = new StreamReader(await response.Content.ReadAsStreamAsync());
        const string Data = "data: ", End = "[DONE]";
        while (await reader.ReadLineAsync() is { } line)
        {
            if (!line.StartsWith(Data, StringComparison.Ordinal)) continue;
            if (line.EndsWith(End, StringComparison.Ordinal)) return answer.Complete();
            using JsonDocument chunk = JsonDocument.Parse(line.AsMemory(Data.Length));
            if (chunk.RootElement.GetProperty("choices")[0].GetProperty("delta").TryGetProperty("content", out JsonElement content))
                answer.Append(content.GetString()!);
        }
        throw new InvalidOperationException("The stream ended without its end.");
    }

    public void Dispose() => _client.Dispose();
}
