using System.Buffers.Binary;
using System.Net;
using System.Net.Sockets;

namespace DiffusionGemma;

/// <summary>Whatever another program sends, ranks refuse it, and a rank with the secret is still served.</summary>
public sealed class RendezvousFuzzTests
{
    private static readonly TimeSpan Long = TimeSpan.FromMinutes(5);

    private static readonly byte[] Secret = "a secret"u8.ToArray(), Bytes = [.. Enumerable.Range(0, 128).Select(n => (byte)n)];

    [Fact]
    public async Task Rank_0_refuses_what_other_programs_send()
    {
        using var rendezvous = Rendezvous.Listen(0);
        Task serve = Task.Run(() => rendezvous.Serve(Bytes, 2, Secret, Timeout.InfiniteTimeSpan));
        byte[] request = new byte[4 + 32 + 32];
        request[0] = 1;
        new MutationFuzzer
        {
            Name = "rendezvous-request", Mutations = 2_000,                                      // a connection each
            Make = random => Mutations.OfBytes(random, request),
            Read = bytes =>
            {
                using Socket socket = Connect(rendezvous.Port);
                byte[] answer = new byte[4096];
                int greeting = socket.Receive(answer);
                socket.Send(bytes);
                socket.Shutdown(SocketShutdown.Send);
                int total = greeting, count;
                do total += count = Receive(socket, answer);
                while (count > 0);
                Assert.True(total <= 32, $"{total} bytes came back.");                           // the greeting alone
            },
        }.Run();
        Assert.Equal(Bytes, Rendezvous.Fetch("localhost", rendezvous.Port, 1, Secret, Long));
        await serve.WaitAsync(Long);
    }

    [Fact]
    public void A_rank_refuses_what_is_not_rank_0()
    {
        using var listener = new TcpListener(IPAddress.Loopback, 0);
        listener.Start();
        int port = ((IPEndPoint)listener.LocalEndpoint).Port;
        byte[] answer = [.. new byte[32], .. BitConverter.GetBytes(Bytes.Length), .. new byte[32], .. Bytes];
        Assert.True(BitConverter.IsLittleEndian && BinaryPrimitives.ReadInt32LittleEndian(answer.AsSpan(32)) == Bytes.Length);
        new MutationFuzzer
        {
            Name = "rendezvous-answer", Mutations = 2_000,                                       // a connection each
            Make = random => Mutations.OfBytes(random, answer),
            Read = bytes =>
            {
                Task other = Task.Run(() =>
                {
                    using Socket socket = listener.AcceptSocket();
                    socket.Send(bytes);
                    socket.Shutdown(SocketShutdown.Send);
                    Receive(socket, new byte[4096]);
                });
                ProcessGroupException e = Assert.Throws<ProcessGroupException>(() => Rendezvous.Fetch("127.0.0.1", port, 1, Secret, Long));
                Assert.Contains(Rendezvous.SecretName, e.Message, StringComparison.Ordinal);
                Assert.DoesNotContain("a secret", e.ToString(), StringComparison.Ordinal);
                other.Wait(Long);
            },
        }.Run();
    }

    private static Socket Connect(int port)
    {
        var socket = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
        socket.Connect(IPAddress.Loopback, port);
        return socket;
    }

    private static int Receive(Socket socket, byte[] buffer)
    {
        try
        {
            return socket.Receive(buffer);
        }
        catch (SocketException)
        {
            return 0;                                                                            // the other side closed with bytes unread
        }
    }
}
