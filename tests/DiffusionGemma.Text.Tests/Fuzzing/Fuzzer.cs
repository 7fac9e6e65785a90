using System.Diagnostics;
using System.Globalization;
using System.Text;

namespace DiffusionGemma;

/// <summary>
/// Feeds broken input for DIFFUSIONGEMMA_FUZZ_SECONDS (one second where it is not set). No crash, no hang, no memory without bound, and
/// only the exceptions that are allowed. The inputs are always the same ones in the same order; a culprit is kept below out/fuzz.
/// </summary>
internal static class Fuzzer
{
    private const int LeastRounds = 50;
    private const long MostBytes = 3L << 30;

    private static readonly TimeSpan LongestRound = TimeSpan.FromMinutes(3);

    /// <param name="name">Of the fuzzer, for messages.</param>
    /// <param name="make">Draws an input.</param>
    /// <param name="use">Uses it; exceptions that it lets through are faults.</param>
    public static void Run(string name, Func<Random, string> make, Action<string> use)
    {
        double seconds = double.Parse(
            Environment.GetEnvironmentVariable("DIFFUSIONGEMMA_FUZZ_SECONDS") ?? "1", CultureInfo.InvariantCulture);
        Random random = new(20260610);
        var clock = Stopwatch.StartNew();
        int rounds = 0;
        for (; rounds < LeastRounds || clock.Elapsed.TotalSeconds < seconds; rounds++)
        {
            string input = make(random);
            Exception? fault = UseInTime(input, use);
            if (fault is null && rounds % 64 == 0 && Environment.WorkingSet > MostBytes)
                fault = new InsufficientMemoryException($"The process holds {Environment.WorkingSet >> 20} MiB.");
            if (fault is not null)
                Assert.Fail($"{name}, input {rounds}, kept in {Keep(name, input)}: {fault}");
        }
        TestContext.Current.TestOutputHelper?.WriteLine($"{name}: {rounds} inputs in {clock.Elapsed.TotalSeconds:0} s");
    }

    private static Exception? UseInTime(string input, Action<string> use)
    {
        Exception? fault = null;
        // The stack of a thread-pool thread, or less: nothing may depend on a deep one.
        Thread thread = new(() => fault = Record.Exception(() => use(input)), maxStackSize: 1 << 20) { IsBackground = true };
        thread.Start();
        return thread.Join(LongestRound) ? fault : new TimeoutException($"It takes more than {LongestRound.TotalSeconds} s.");
    }

    private static string Keep(string name, string input)
    {
        string path = Path.Combine(Directory.CreateDirectory(Path.Combine(Fixtures.Root, "out", "fuzz")).FullName, $"{name}.txt");
        File.WriteAllText(path, input, new UTF8Encoding(false));
        return path;
    }
}
