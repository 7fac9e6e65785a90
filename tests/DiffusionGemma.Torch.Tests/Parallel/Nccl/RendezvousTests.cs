using System.Diagnostics;
using System.Net.Sockets;
using System.Security.Cryptography;
using System.Text;
using CsCheck;

namespace DiffusionGemma;

public sealed class RendezvousTests
{
    private static readonly TimeSpan Long = TimeSpan.FromMinutes(5);

    private static readonly byte[] Secret = "a secret"u8.ToArray(), Bytes = [.. Enumerable.Range(0, 128).Select(n => (byte)n)];

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(9)]
    public async Task Every_rank_gets_the_bytes(int ranks)
    {
        using var rendezvous = Rendezvous.Listen(0);
        int port = rendezvous.Port;
        Task<byte[]>[] others = [.. Enumerable.Range(1, ranks - 1).Select(rank => Fetch(port, rank))];
        rendezvous.Serve(Bytes, ranks, Secret, Long);
        Assert.All(await Task.WhenAll(others), bytes => Assert.Equal(Bytes, bytes));
    }

    [Fact]
    public async Task A_rank_that_is_early_tries_again()
    {
        int port;
        using (var free = Rendezvous.Listen(0)) port = free.Port;
        Task<byte[]> early = Fetch(port, 1);
        await Task.Delay(300);
        Assert.False(early.IsCompleted);
        using var rendezvous = Rendezvous.Listen(port);
        rendezvous.Serve(Bytes, 2, Secret, Long);
        Assert.Equal(Bytes, await early);
    }

    [Fact]
    public void Missing_ranks_are_named() => TimeoutTest.Run(timeout =>
    {
        using var rendezvous = Rendezvous.Listen(0);
        Task<byte[]> one = Fetch(rendezvous.Port, 2);
        ProcessGroupException e = Assert.Throws<ProcessGroupException>(() => rendezvous.Serve(Bytes, 4, Secret, timeout));
        Assert.StartsWith($"Rank 1, 3 did not connect within {timeout.TotalSeconds} s,", e.Message);
        Assert.Equal(Bytes, one.Result);
    });

    [Fact]
    public void A_missing_rank_0_is_named()
    {
        int port;
        using (var free = Rendezvous.Listen(0)) port = free.Port;
        ProcessGroupException e = Assert.Throws<ProcessGroupException>(() =>
            Rendezvous.Fetch("localhost", port, 1, Secret, TimeSpan.FromSeconds(1)));
        Assert.StartsWith($"Rank 1 did not reach rank 0 at localhost:{port} within 1 s", e.Message);
    }

    /// <summary>A rank with a wrong secret is refused; another is served meanwhile, and then the first with the right secret.</summary>
    [Fact]
    public async Task A_wrong_secret_is_refused()
    {
        using var rendezvous = Rendezvous.Listen(0);
        int port = rendezvous.Port;
        Task serve = Task.Run(() => rendezvous.Serve(Bytes, 3, Secret, Long));
        ProcessGroupException e = await Assert.ThrowsAsync<ProcessGroupException>(() => Fetch(port, 1, "another"));
        Assert.Contains(Rendezvous.SecretName, e.Message);
        Assert.Equal(Bytes, await Fetch(port, 2));
        Assert.False(serve.IsCompleted);
        await Assert.ThrowsAsync<ProcessGroupException>(() => Fetch(port, 3));                   // there is no such rank
        Assert.Equal(Bytes, await Fetch(port, 1));
        await serve;
    }

    /// <summary>A program listens on the port of rank 0 and does not know the secret.</summary>
    [Fact]
    public async Task A_false_rank_0_is_refused()
    {
        using var listener = new TcpListener(System.Net.IPAddress.Loopback, 0);
        listener.Start();
        int port = ((System.Net.IPEndPoint)listener.LocalEndpoint).Port;
        foreach (int announced in new[] { 128, 1 << 30, -1 })
        {
            Task<byte[]> asking = Fetch(port, 1);
            using TcpClient client = await listener.AcceptTcpClientAsync();
            NetworkStream stream = client.GetStream();
            await stream.WriteAsync(RandomNumberGenerator.GetBytes(32));
            await stream.ReadExactlyAsync(new byte[68]);
            await stream.WriteAsync((byte[])[.. BitConverter.GetBytes(announced), .. new byte[32 + 128]]);
            Assert.Contains(Rendezvous.SecretName, (await Assert.ThrowsAsync<ProcessGroupException>(() => asking)).Message);
        }
    }

    /// <summary>
    /// Connections that send random bytes, too many or none, or close at once: none gets more than the 32 random bytes, and the true ranks
    /// are served.
    /// </summary>
    [Fact]
    public void Garbage_is_refused() => Property.Holds(Gen.Byte.Array[0, 100].Array[1, 30], 10, sent =>
    {
        using var rendezvous = Rendezvous.Listen(0);
        int port = rendezvous.Port;
        Task serve = Task.Run(() => rendezvous.Serve(Bytes, 2, Secret, Long));
        var watch = Stopwatch.StartNew();
        TcpClient[] clients = [.. sent.Select((bytes, n) =>
        {
            var client = new TcpClient("localhost", port);
            client.GetStream().Write(bytes);
            if (n % 3 == 0) client.Client.Shutdown(SocketShutdown.Send);
            return client;
        })];
        byte[] got = Fetch(port, 1).Result;
        serve.Wait();
        Assert.Equal(Bytes, got);
        Assert.True(watch.Elapsed < TimeSpan.FromMinutes(1), $"{watch.Elapsed}");
        foreach (TcpClient client in clients)
        {
            client.ReceiveTimeout = 60_000;
            Assert.True(Received(client) <= 32);
            client.Dispose();
        }
    });

    [Fact]
    public void A_port_that_is_taken_is_named()
    {
        using var first = Rendezvous.Listen(0);
        Assert.Contains($"port {first.Port}", Assert.Throws<ProcessGroupException>(() => Rendezvous.Listen(first.Port)).Message);
    }

    [Fact]
    public void The_secret_is_asked_for()
    {
        Assert.Equal(Encoding.UTF8.GetBytes("ä"), Rendezvous.Secret(name => name == "DIFFUSIONGEMMA_SECRET" ? "ä" : null));
        var missing = Assert.Throws<InvalidOperationException>(() => Rendezvous.Secret(_ => null));
        Assert.Contains("DIFFUSIONGEMMA_SECRET is not set", missing.Message);
        Assert.Throws<InvalidOperationException>(() => Rendezvous.Secret(_ => ""));
    }

    private static Task<byte[]> Fetch(int port, int rank, string secret = "a secret") =>
        Task.Run(() => Rendezvous.Fetch("localhost", port, rank, Encoding.UTF8.GetBytes(secret), Long));

    private static int Received(TcpClient client)
    {
        int count = 0;
        try
        {
            var buffer = new byte[256];
            for (int read; (read = client.Client.Receive(buffer)) > 0;) count += read;
        }
        catch (SocketException e) when (e.SocketErrorCode == SocketError.ConnectionReset)
        {
            // Reset by the other end, which had bytes unread.
        }
        return count;
    }
}
