using System.Buffers.Binary;
using System.Diagnostics;
using System.Net;
using System.Net.Sockets;
using System.Security.Cryptography;
using System.Text;

namespace DiffusionGemma;

/// <summary>
/// Distributes some bytes (NCCL's unique id) from rank 0 to every other rank over TCP. A program without the secret can neither get nor
/// replace them, and the secret itself is not sent.
/// <code>
/// rank 0 -> rank r    32 random bytes a
/// rank r -> rank 0    4 bytes r, 32 random bytes b, 32 bytes HMAC-SHA256(secret, "rank" a b r)
/// rank 0 -> rank r    4 bytes n, 32 bytes HMAC-SHA256(secret, "zero" b n bytes), n bytes        or the connection is closed: refused
/// </code>
/// Numbers are little-endian; a longer message is not read.
/// </summary>
internal sealed class Rendezvous : IDisposable
{
    /// <summary>The environment variable of the secret, which is the same for all processes.</summary>
    public const string SecretName = "DIFFUSIONGEMMA_SECRET";

    private const int NonceBytes = 32, MacBytes = 32, NumberBytes = 4, MaxBytes = 1024, MaxConnections = 64;

    private static readonly TimeSpan RetryInterval = TimeSpan.FromMilliseconds(100), ConnectionTimeout = TimeSpan.FromSeconds(5);

    private readonly TcpListener _listener;

    private Rendezvous(TcpListener listener) => _listener = listener;

    public int Port => ((IPEndPoint)_listener.LocalEndpoint).Port;

    /// <summary>Reads the secret's bytes.</summary>
    /// <exception cref="InvalidOperationException">The variable is not set.</exception>
    public static byte[] Secret(Func<string, string?> variable) => variable(SecretName) is { Length: > 0 } secret
        ? Encoding.UTF8.GetBytes(secret)
        : throw new InvalidOperationException($"{SecretName} is not set: "
            + "give all processes of a run the same secret (such as 32 random characters), so that no other program joins them.");

    /// <summary>Rank 0: starts to accept connections.</summary>
    /// <param name="port">0 for any free port.</param>
    public static Rendezvous Listen(int port)
    {
        TcpListener listener = Socket.OSSupportsIPv6 ? TcpListener.Create(port) : new TcpListener(IPAddress.Any, port);
        try
        {
            listener.Start();
            return new Rendezvous(listener);
        }
        catch (SocketException e)
        {
            listener.Dispose();
            throw new ProcessGroupException($"Rank 0 cannot listen on port {port}: {e.Message}.", e);
        }
    }

    /// <summary>Rank 0: sends the bytes to every other rank and returns once all have them.</summary>
    /// <param name="bytes">At most 1024.</param>
    /// <param name="ranks">The number of all ranks, rank 0 included.</param>
    /// <param name="secret">The secret of all ranks.</param>
    /// <param name="timeout">The time for all ranks together.</param>
    /// <exception cref="ProcessGroupException">The time is over; names the ranks that did not connect.</exception>
    public void Serve(byte[] bytes, int ranks, byte[] secret, TimeSpan timeout)
    {
        ArgumentOutOfRangeException.ThrowIfGreaterThan(bytes.Length, MaxBytes);
        ServeAsync(bytes, ranks, secret, timeout).GetAwaiter().GetResult();
    }

    /// <summary>Another rank: receives the bytes of rank 0. Tries again until the port is open.</summary>
    /// <exception cref="ProcessGroupException">The time is over, rank 0 refused, or another program answered.</exception>
    public static byte[] Fetch(string address, int port, int rank, byte[] secret, TimeSpan timeout)
    {
        long start = Stopwatch.GetTimestamp();
        while (true)
        {
            bool isInfinite = timeout == Timeout.InfiniteTimeSpan;
            TimeSpan left = timeout - Stopwatch.GetElapsedTime(start);
            using var client = new TcpClient();
            using var end = new CancellationTokenSource(isInfinite ? timeout : left > TimeSpan.Zero ? left : TimeSpan.Zero);
            try
            {
                client.ConnectAsync(address, port, end.Token).AsTask().GetAwaiter().GetResult();
            }
            catch (Exception e) when (e is SocketException or OperationCanceledException)
            {
                if (isInfinite || Stopwatch.GetElapsedTime(start) + RetryInterval < timeout)
                {
                    Thread.Sleep(RetryInterval);
                    continue;
                }
                throw new ProcessGroupException(
                    $"Rank {rank} did not reach rank 0 at {address}:{port} within {timeout.TotalSeconds:0.###} s: {e.Message}", e);
            }
            try
            {
                return AskAsync(client.GetStream(), rank, secret, end.Token).GetAwaiter().GetResult();
            }
            catch (Exception e) when (e is IOException or OperationCanceledException or InvalidDataException)
            {
                throw new ProcessGroupException(
                    $"Rank {rank} was refused at {address}:{port}, or that is not rank 0 of this run: "
                    + $"is {SecretName} the same for all? ({e.Message})", e);
            }
        }
    }

    public void Dispose() => _listener.Dispose();

    private static async Task<byte[]> AskAsync(NetworkStream stream, int rank, byte[] secret, CancellationToken end)
    {
        byte[] theirs = await ReadAsync(stream, NonceBytes, end), mine = RandomNumberGenerator.GetBytes(NonceBytes), number = Bytes(rank);
        await stream.WriteAsync((byte[])[.. number, .. mine, .. Mac(secret, "rank", theirs, mine, number)], end);
        byte[] length = await ReadAsync(stream, NumberBytes, end), mac = await ReadAsync(stream, MacBytes, end);
        int count = BinaryPrimitives.ReadInt32LittleEndian(length);
        if (count is < 0 or > MaxBytes) throw new InvalidDataException($"{count} bytes were announced.");
        byte[] bytes = await ReadAsync(stream, count, end);
        if (!CryptographicOperations.FixedTimeEquals(mac, Mac(secret, "zero", mine, length, bytes)))
            throw new InvalidDataException("The answer was not made with this secret.");
        return bytes;
    }

    private async Task ServeAsync(byte[] bytes, int ranks, byte[] secret, TimeSpan timeout)
    {
        var served = new HashSet<int>();
        var connections = new List<Task>();
        using var end = new CancellationTokenSource();                                           // ends connections still open at the end
        using var free = new SemaphoreSlim(MaxConnections);
        using var over = new CancellationTokenSource(timeout);
        try
        {
            while (Missing().Length > 0)
            {
                await free.WaitAsync(over.Token);
                TcpClient client = await _listener.AcceptTcpClientAsync(over.Token);
                connections.Add(AnswerAsync(client));
            }
        }
        catch (OperationCanceledException) when (over.IsCancellationRequested)
        {
            if (Missing() is { Length: > 0 } missing)
            {
                throw new ProcessGroupException(
                    $"Rank {string.Join(", ", missing)} did not connect within {timeout.TotalSeconds:0.###} s, "
                    + $"or not with the same {SecretName}.");
            }
        }
        finally
        {
            await end.CancelAsync();
            await Task.WhenAll(connections);
        }

        int[] Missing()
        {
            lock (served) return [.. Enumerable.Range(1, ranks - 1).Except(served)];
        }

        async Task AnswerAsync(TcpClient client)
        {
            try
            {
                using TcpClient own = client;
                using var connection = CancellationTokenSource.CreateLinkedTokenSource(end.Token);
                connection.CancelAfter(ConnectionTimeout);
                if (await AnswerOneAsync(own.GetStream(), bytes, ranks, secret, connection.Token) is { } rank)
                {
                    lock (served) served.Add(rank);
                    if (Missing().Length == 0) await over.CancelAsync();                         // the loop waits for one more connection
                }
            }
            catch (Exception e) when (e is IOException or OperationCanceledException or ObjectDisposedException)
            {
                // Another program, or a rank whose connection broke: it connects again, or is named as missing in the end.
            }
            finally
            {
                free.Release();
            }
        }
    }

    /// <summary>Sends the bytes over one connection; returns the rank that has them now, or null if it was refused.</summary>
    private static async Task<int?> AnswerOneAsync(NetworkStream stream, byte[] bytes, int ranks, byte[] secret, CancellationToken end)
    {
        byte[] mine = RandomNumberGenerator.GetBytes(NonceBytes), length = Bytes(bytes.Length);
        await stream.WriteAsync(mine, end);
        byte[] number = await ReadAsync(stream, NumberBytes, end), theirs = await ReadAsync(stream, NonceBytes, end);
        byte[] mac = await ReadAsync(stream, MacBytes, end);
        int rank = BinaryPrimitives.ReadInt32LittleEndian(number);
        if (!CryptographicOperations.FixedTimeEquals(mac, Mac(secret, "rank", mine, theirs, number))) return null;
        if (rank < 1 || rank >= ranks) return null;
        await stream.WriteAsync((byte[])[.. length, .. Mac(secret, "zero", theirs, length, bytes), .. bytes], end);
        return rank;
    }

    private static async Task<byte[]> ReadAsync(NetworkStream stream, int count, CancellationToken end)
    {
        var bytes = new byte[count];
        await stream.ReadExactlyAsync(bytes, end);
        return bytes;
    }

    private static byte[] Bytes(int number)
    {
        var bytes = new byte[NumberBytes];
        BinaryPrimitives.WriteInt32LittleEndian(bytes, number);
        return bytes;
    }

    private static byte[] Mac(byte[] secret, string who, params byte[][] parts) =>
        HMACSHA256.HashData(secret, (byte[])[.. Encoding.ASCII.GetBytes(who), .. parts.SelectMany(part => part)]);
}
