using System.Diagnostics;
using System.Globalization;

namespace DiffusionGemma;

/// <summary>
/// Feeds one reader broken input, the same for the same number. A reader passes where each input is read, or refused with the library's
/// own exception, within two seconds of its thread's processor time and 64 MB + 4 x the input of allocations, and nothing was written.
/// DIFFUSIONGEMMA_MUTATIONS asks for another count than a test's own, DIFFUSIONGEMMA_FIRST_MUTATION for others than the first. A culprit
/// is kept in the folder out/fuzz.
/// </summary>
internal sealed class MutationFuzzer
{
    private const double MostSeconds = 2;
    private const long MostBytes = 64 << 20;

    /// <summary>Wall time after which an input counts as one that never ends.</summary>
    private static readonly TimeSpan Endless = TimeSpan.FromMinutes(3);

    /// <summary>The reader's name, for messages and the culprit's file.</summary>
    public required string Name { get; init; }

    /// <summary>Makes an input out of random numbers.</summary>
    public required Func<Random, byte[]> Make { get; init; }

    /// <summary>Reads it, on the calling thread. Exceptions that it lets through are faults.</summary>
    public required Action<byte[]> Read { get; init; }

    /// <summary>Inputs of an ordinary run.</summary>
    public int Mutations { get; init; } = 10_000;

    /// <summary>Bytes that are allowed beside 64 MB, for one of the input: allocated in all, so that garbage counts.</summary>
    public int BytesPerByte { get; init; } = 4;

    /// <summary>Bytes that are allowed whatever the input.</summary>
    public long FixedBytes { get; init; } = MostBytes;

    /// <summary>A folder that must hold the same files after reading as before it.</summary>
    public string? Folder { get; init; }

    public void Run()
    {
        int count = Number("DIFFUSIONGEMMA_MUTATIONS", Mutations), first = Number("DIFFUSIONGEMMA_FIRST_MUTATION", 0);
        int at = -1, done = 0;
        byte[] current = [];
        (string Fault, byte[] Input)? culprit = null;
        double slowest = 0;
        long largest = 0;
        var clock = Stopwatch.StartNew();
        long progress = Stopwatch.GetTimestamp();
        var thread = new Thread(() =>
        {
            foreach (int number in Enumerable.Range(first, count))
            {
                Volatile.Write(ref at, number);
                Interlocked.Exchange(ref progress, Stopwatch.GetTimestamp());
                byte[] input = Make(new Random(number));
                Volatile.Write(ref current, input);
                string before = Listing();
                double start = ThreadTime.Seconds() ?? 0;
                long bytes = GC.GetAllocatedBytesForCurrentThread();
                Exception? fault = Record.Exception(() => Read(input));
                bytes = GC.GetAllocatedBytesForCurrentThread() - bytes;
                double seconds = (ThreadTime.Seconds() ?? 0) - start;
                (slowest, largest) = (Math.Max(slowest, seconds), Math.Max(largest, bytes));
                string? problem = fault?.ToString()
                    ?? (seconds > MostSeconds ? $"It takes {seconds:0.0} s of processor time." : null)
                    ?? (bytes > FixedBytes + ((long)BytesPerByte * input.Length)
                        ? $"It allocates {bytes:N0} bytes for {input.Length:N0} of input." : null)
                    ?? (Listing() is { } after && after != before ? $"It writes: {before} became {after}." : null);
                done++;
                if (problem is null) continue;
                culprit = (problem, input);
                return;
            }
        },
        // The stack of a thread-pool thread, or less: nothing may depend on a deep one.
        maxStackSize: 1 << 20)
        { IsBackground = true };
        thread.Start();
        while (!thread.Join(TimeSpan.FromSeconds(1)))
            if (Stopwatch.GetElapsedTime(Interlocked.Read(ref progress)) > Endless)
                Assert.Fail($"{Name}, input {Volatile.Read(ref at)}, does not end; it is kept in {Keep(Volatile.Read(ref current))}.");
        if (culprit is { } found) Assert.Fail($"{Name}, input {at}, kept in {Keep(found.Input)}: {found.Fault}");
        string result = string.Create(CultureInfo.InvariantCulture,
            $"{Name}: {done} inputs in {clock.Elapsed.TotalSeconds:0.0} s, at most {slowest * 1e3:0} ms and {largest / 1e6:0.0} MB");
        TestContext.Current.TestOutputHelper?.WriteLine(result);
        if (Environment.GetEnvironmentVariable("DIFFUSIONGEMMA_MUTATIONS") is not null) Console.WriteLine(result);
    }

    private static int Number(string variable, int otherwise) =>
        int.TryParse(Environment.GetEnvironmentVariable(variable), CultureInfo.InvariantCulture, out int number) ? number : otherwise;

    private string Listing() => Folder is null ? "" : string.Join(", ", new DirectoryInfo(Folder)
        .EnumerateFileSystemInfos("*", SearchOption.AllDirectories)
        .Select(entry => entry.Name).Order(StringComparer.Ordinal));

    private string Keep(byte[] input)
    {
        string path = Path.Combine(Directory.CreateDirectory(Path.Combine(Fixtures.Root, "out", "fuzz")).FullName, $"{Name}.bin");
        File.WriteAllBytes(path, input);
        return path;
    }
}
