using System.Net.Sockets;
using System.Text;

namespace DiffusionGemma;

/// <summary>Bytes to the server that no client would send.</summary>
internal static class RawRequest
{
    /// <summary>Sends a request and reads until the server closes the connection.</summary>
    public static async Task<string> SendAsync(int port, string text)
    {
        using var client = new TcpClient("127.0.0.1", port);
        await client.GetStream().WriteAsync(Encoding.ASCII.GetBytes(text));
        using var reader = new StreamReader(client.GetStream(), Encoding.UTF8);
        return await reader.ReadToEndAsync();
    }
}
