using System.Buffers.Binary;
using System.Diagnostics;
using System.Net;
using System.Net.Sockets;
using System.Security.Cryptography;
using System.Text;

namespace DiffusionGemma;

/// <summary>
/// Rank 0 hands some bytes (NCCL's unique id) to every other rank, once, over TCP; who does not know the secret neither gets them nor can pass others off as
/// them, and the secret itself does not travel.
/// <code>
/// rank 0 -> rank r    32 random bytes a
/// rank r -> rank 0    4 bytes r, 32 random bytes b, 32 bytes HMAC-SHA256(secret, "rank" a b r)
/// rank 0 -> rank r    4 bytes n, 32 bytes HMAC-SHA256(secret, "zero" b n bytes), n bytes               or the end of the connection: refused
/// </code>
/// Numbers are little-endian; nothing longer is read.
/// </summary>
internal sealed class Rendezvous : IDisposable
{
    /// <summary>The variable that holds the secret, the same for all processes.</summary>
    public const string SecretName = "DIFFUSIONGEMMA_SECRET";

    private const int Random = 32, Seal = 32, Number = 4, MostBytes = 1024, AtOnce = 64;

    private static readonly TimeSpan Retry = TimeSpan.FromMilliseconds(100), Patience = TimeSpan.FromSeconds(5);

    private readonly TcpListener _listener;

    private Rendezvous(TcpListener listener) => _listener = listener;

    public int Port => ((IPEndPoint)_listener.LocalEndpoint).Port;

    /// <summary>The secret's bytes.</summary>
    /// <exception cref="InvalidOperationException">There is none.</exception>
    public static byte[] Secret(Func<string, string?> variable) => variable(SecretName) is { Length: > 0 } secret
        ? Encoding.UTF8.GetBytes(secret)
        : throw new InvalidOperationException($"{SecretName} is not set: "
            + "give all processes of a run the same secret (such as 32 random characters), so that no other program joins them.");

    /// <summary>Rank 0: from now on others can connect.</summary>
    /// <param name="port">0 for any that is free.</param>
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

    /// <summary>Rank 0: returns once every other rank has the bytes.</summary>
    /// <param name="bytes">At most 1024.</param>
    /// <param name="ranks">All, with rank 0.</param>
    /// <param name="secret">As the others have it.</param>
    /// <param name="timeout">For all of it.</param>
    /// <exception cref="ProcessGroupException">The time is over; names the ranks that did not come.</exception>
    public void Serve(byte[] bytes, int ranks, byte[] secret, TimeSpan timeout)
    {
        ArgumentOutOfRangeException.ThrowIfGreaterThan(bytes.Length, MostBytes);
        ServeAsync(bytes, ranks, secret, timeout).GetAwaiter().GetResult();
    }

    /// <summary>Another rank: the bytes of rank 0. Tries again until somebody listens.</summary>
    /// <exception cref="ProcessGroupException">The time is over, or rank 0 refused, or who answered is not rank 0.</exception>
    public static byte[] Fetch(string address, int port, int rank, byte[] secret, TimeSpan timeout)
    {
        long start = Stopwatch.GetTimestamp();
        while (true)
        {
            bool forever = timeout == Timeout.InfiniteTimeSpan;
            TimeSpan left = timeout - Stopwatch.GetElapsedTime(start);
            using var client = new TcpClient();
            using var end = new CancellationTokenSource(forever ? timeout : left > TimeSpan.Zero ? left : TimeSpan.Zero);
            try
            {
                client.ConnectAsync(address, port, end.Token).AsTask().GetAwaiter().GetResult();
            }
            catch (Exception e) when (e is SocketException or OperationCanceledException)
            {
                if (forever || Stopwatch.GetElapsedTime(start) + Retry < timeout)
                {
                    Thread.Sleep(Retry);
                    continue;
                }
                throw new ProcessGroupException($"Rank {rank} did not reach rank 0 at {address}:{port} within {timeout.TotalSeconds:0.###} s: {e.Message}", e);
            }
            try
            {
                return AskAsync(client.GetStream(), rank, secret, end.Token).GetAwaiter().GetResult();
            }
            catch (Exception e) when (e is IOException or OperationCanceledException or InvalidDataException)
            {
                throw new ProcessGroupException(
                    $"Rank {rank} was refused at {address}:{port}, or that is not rank 0 of this run: is {SecretName} the same for all? ({e.Message})", e);
            }
        }
    }

    public void Dispose() => _listener.Dispose();

    private static async Task<byte[]> AskAsync(NetworkStream stream, int rank, byte[] secret, CancellationToken end)
    {
        byte[] theirs = await ReadAsync(stream, Random, end), mine = RandomNumberGenerator.GetBytes(Random), number = Bytes(rank);
        await stream.WriteAsync((byte[])[.. number, .. mine, .. SealOf(secret, "rank", theirs, mine, number)], end);
        byte[] length = await ReadAsync(stream, Number, end), seal = await ReadAsync(stream, Seal, end);
        int count = BinaryPrimitives.ReadInt32LittleEndian(length);
        if (count is < 0 or > MostBytes) throw new InvalidDataException($"{count} bytes were announced.");
        byte[] bytes = await ReadAsync(stream, count, end);
        if (!CryptographicOperations.FixedTimeEquals(seal, SealOf(secret, "zero", mine, length, bytes)))
            throw new InvalidDataException("The answer is not sealed with this secret.");
        return bytes;
    }

    private async Task ServeAsync(byte[] bytes, int ranks, byte[] secret, TimeSpan timeout)
    {
        var served = new HashSet<int>();
        var connections = new List<Task>();
        using var end = new CancellationTokenSource();                                           // ends those who are still talking when all is done
        using var free = new SemaphoreSlim(AtOnce);
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
                throw new ProcessGroupException(
                    $"Within {timeout.TotalSeconds:0.###} s there did not come rank {string.Join(", ", missing)}, or not with the same {SecretName}.");
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
                using var patience = CancellationTokenSource.CreateLinkedTokenSource(end.Token);
                patience.CancelAfter(Patience);
                if (await AnswerOneAsync(own.GetStream(), bytes, ranks, secret, patience.Token) is { } rank)
                {
                    lock (served) served.Add(rank);
                    if (Missing().Length == 0) await over.CancelAsync();                         // the loop waits for one more
                }
            }
            catch (Exception e) when (e is IOException or OperationCanceledException or ObjectDisposedException)
            {
                // Not one of ours, or one that went away: it comes again, or is missing in the end.
            }
            finally
            {
                free.Release();
            }
        }
    }

    /// <summary>The rank that has the bytes now; null where it was refused.</summary>
    private static async Task<int?> AnswerOneAsync(NetworkStream stream, byte[] bytes, int ranks, byte[] secret, CancellationToken end)
    {
        byte[] mine = RandomNumberGenerator.GetBytes(Random), length = Bytes(bytes.Length);
        await stream.WriteAsync(mine, end);
        byte[] number = await ReadAsync(stream, Number, end), theirs = await ReadAsync(stream, Random, end), seal = await ReadAsync(stream, Seal, end);
        int rank = BinaryPrimitives.ReadInt32LittleEndian(number);
        if (!CryptographicOperations.FixedTimeEquals(seal, SealOf(secret, "rank", mine, theirs, number)) || rank < 1 || rank >= ranks) return null;
        await stream.WriteAsync((byte[])[.. length, .. SealOf(secret, "zero", theirs, length, bytes), .. bytes], end);
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
        var bytes = new byte[Number];
        BinaryPrimitives.WriteInt32LittleEndian(bytes, number);
        return bytes;
    }

    private static byte[] SealOf(byte[] secret, string who, params byte[][] parts) =>
        HMACSHA256.HashData(secret, (byte[])[.. Encoding.ASCII.GetBytes(who), .. parts.SelectMany(part => part)]);
}
