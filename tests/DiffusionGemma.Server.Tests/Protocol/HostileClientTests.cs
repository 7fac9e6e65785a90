using System.Net;
using System.Net.Sockets;
using System.Text;
using Microsoft.Extensions.AI;
using Microsoft.Extensions.DependencyInjection;

namespace DiffusionGemma;

/// <summary>Clients that send too much, too slowly, or half: each is refused or dropped, and others are answered meanwhile.</summary>
public sealed class HostileClientTests : IAsyncLifetime
{
    private const int HundredMegabytes = 100 << 20;

    private const string Head = "POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n";

    private TestServer _server = null!;

    public async ValueTask InitializeAsync() => _server = await TestServer.StartAsync();

    public async ValueTask DisposeAsync()
    {
        await AnswersOnAsync();
        await _server.DisposeAsync();
    }

    [Fact]
    public async Task A_body_of_100_MB_is_413_before_it_is_read()
    {
        using TcpClient client = Connect();
        string answer = await FloodAsync(client, $"{Head}Content-Length: {HundredMegabytes}\r\n\r\n", chunked: false);
        Assert.StartsWith("HTTP/1.1 413 ", answer, StringComparison.Ordinal);
        Assert.Contains("request_too_large", answer, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_body_of_100_MB_in_chunks_is_413_at_the_limit()
    {
        using TcpClient client = Connect();
        string answer = await FloodAsync(client, $"{Head}Transfer-Encoding: chunked\r\n\r\n", chunked: true);
        Assert.StartsWith("HTTP/1.1 413 ", answer, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_body_that_trickles_is_408()
    {
        using TcpClient client = Connect();
        NetworkStream stream = client.GetStream();
        await stream.WriteAsync(Encoding.ASCII.GetBytes($"{Head}Content-Length: 1000\r\n\r\n{{\"model\": \""));
        Task<string> answer = ReadAsync(stream);
        // Kestrel ends a body of less than 240 bytes a second, after 5 seconds.
        while (!answer.IsCompleted)
        {
            try
            {
                await stream.WriteAsync("x"u8.ToArray());
            }
            catch (IOException)
            {
                break;
            }
            await Task.WhenAny(answer, Task.Delay(500));
        }
        Assert.StartsWith("HTTP/1.1 408 ", await answer, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_client_that_closes_its_half_in_the_middle_of_a_body_is_refused()
    {
        using TcpClient client = Connect();
        NetworkStream stream = client.GetStream();                              // a half-closed client gives none any more
        await stream.WriteAsync(Encoding.ASCII.GetBytes($"{Head}Content-Length: 1000\r\n\r\n{{\"model\": \"tiny"));
        client.Client.Shutdown(SocketShutdown.Send);
        string answer = await ReadAsync(stream);
        Assert.True(answer.Length == 0 || answer.StartsWith("HTTP/1.1 400 ", StringComparison.Ordinal), answer);
    }

    [Fact]
    public async Task A_client_that_closes_its_half_after_the_question_leaves_no_row_behind()
    {
        string body = TestServer.Ask().ToJsonString();
        using TcpClient client = Connect();
        NetworkStream stream = client.GetStream();
        await stream.WriteAsync(
            Encoding.ASCII.GetBytes($"{Head}Content-Length: {body.Length}\r\nConnection: close\r\n\r\n{body}"));
        client.Client.Shutdown(SocketShutdown.Send);
        string answer = await ReadAsync(stream);
        Assert.True(answer.Length == 0 || answer.StartsWith("HTTP/1.1 200 ", StringComparison.Ordinal), answer);
        DiffusionGemmaChatClient chat = await _server.Application.Services.GetRequiredService<DiffusionGemmaService>().GetClientAsync();
        using var limit = new CancellationTokenSource(TimeSpan.FromMinutes(2));
        while (chat.GetService<GenerationQueue>()!.Status is { Running: > 0 } or { Waiting: > 0 }) await Task.Delay(20, limit.Token);
    }

    [Theory]
    [InlineData("\u0016\u0003\u0001\u0002\u0000\u0001\u0000")]                   // TLS to a server without it
    [InlineData("GET /v1/models HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\n\r\n")]
    [InlineData("GET /v1/models HTTP/1.1\r\n\r\n")]
    [InlineData("POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n")]
    [InlineData(
        "POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
        + "ffffffff\r\n{}\r\n")]
    [InlineData("GET /v1/models HTTP/9.9\r\nHost: localhost\r\n\r\n")]
    public async Task What_is_no_HTTP_is_refused(string text)
    {
        string answer = await RawRequest.SendAsync(
            _server.Address.Port,
            text.Replace("Host: localhost\r\n", "Host: localhost\r\nConnection: close\r\n", StringComparison.Ordinal));
        Assert.True(answer.Length == 0 || answer.StartsWith("HTTP/1.1 4", StringComparison.Ordinal)
            || answer.StartsWith("HTTP/1.1 505 ", StringComparison.Ordinal), answer);
    }

    private TcpClient Connect() => new("127.0.0.1", _server.Address.Port);

    /// <summary>Sends 100 MB after a head, until the server has enough of it.</summary>
    private static async Task<string> FloodAsync(TcpClient client, string head, bool chunked)
    {
        NetworkStream stream = client.GetStream();
        await stream.WriteAsync(Encoding.ASCII.GetBytes(head));
        Task<string> answer = ReadAsync(stream);
        byte[] part = Encoding.ASCII.GetBytes(new string(' ', 1 << 20));
        for (int sent = 0; sent < HundredMegabytes && !answer.IsCompleted; sent += part.Length)
        {
            try
            {
                if (chunked) await stream.WriteAsync(Encoding.ASCII.GetBytes($"{part.Length:x}\r\n"));
                await stream.WriteAsync(part);
                if (chunked) await stream.WriteAsync("\r\n"u8.ToArray());
            }
            catch (IOException)
            {
                break;
            }
        }
        return await answer;
    }

    /// <summary>Reads until the connection ends, in whatever way.</summary>
    private static async Task<string> ReadAsync(NetworkStream stream)
    {
        var text = new StringBuilder();
        var buffer = new byte[4096];
        try
        {
            for (int read; (read = await stream.ReadAsync(buffer)) > 0;) text.Append(Encoding.ASCII.GetString(buffer, 0, read));
        }
        catch (IOException)
        {
            // Reset: what came before it counts.
        }
        return text.ToString();
    }

    private async Task AnswersOnAsync()
    {
        using HttpResponseMessage response = await _server.PostAsync(TestServer.Ask());
        Assert.Equal(HttpStatusCode.OK, response.StatusCode);
    }
}
