using System.Diagnostics;
using System.Globalization;

namespace DiffusionGemma;

/// <summary>Runs generated cases for a second or two, or for as long as DIFFUSIONGEMMA_FUZZ_SECONDS says.</summary>
internal static class Fuzz
{
    private static readonly TimeSpan LongestCase = TimeSpan.FromMinutes(1);

    private static readonly byte[] Telling = [0, 1, 0x7F, 0x80, 0xFF, (byte)'"', (byte)'\\', (byte)'{', (byte)'[', (byte)'\n'];

    private static TimeSpan Duration =>
        TimeSpan.FromSeconds(double.TryParse(Environment.GetEnvironmentVariable("DIFFUSIONGEMMA_FUZZ_SECONDS"),
            CultureInfo.InvariantCulture, out double seconds) ? seconds : 1);

    /// <summary>Fails where a case throws, takes too long or asks for too much memory.</summary>
    /// <remarks>The case's seed is in the message.</remarks>
    /// <param name="make">Makes a case, the same for the same random numbers.</param>
    /// <param name="read">Must allocate on the thread that it is called on.</param>
    /// <param name="largest">Bytes that a case may allocate in all.</param>
    /// <returns>How many cases ran.</returns>
    public static int Run(Func<Random, byte[]> make, Action<byte[]> read, Func<byte[], long> largest)
    {
        var clock = Stopwatch.StartNew();
        int seed = 0;
        for (; seed < 20 || clock.Elapsed < Duration; seed++)
        {
            byte[] bytes = make(new Random(seed));
            long allocated = 0;
            Exception? fault = null;
            var thread = new Thread(() =>
            {
                long before = GC.GetAllocatedBytesForCurrentThread();
                try
                {
                    read(bytes);
                }
                catch (Exception error)
                {
                    fault = error;
                }
                allocated = GC.GetAllocatedBytesForCurrentThread() - before;
            })
            { IsBackground = true };
            thread.Start();
            Assert.True(thread.Join(LongestCase), $"seed {seed}: not done after {LongestCase.TotalSeconds} s");
            Assert.True(fault is null, $"seed {seed}: {fault}");
            Assert.True(allocated <= largest(bytes), $"seed {seed}: {allocated:N0} bytes allocated for {bytes.Length:N0} bytes of input");
        }
        TestContext.Current.TestOutputHelper?.WriteLine($"{seed} cases in {clock.Elapsed.TotalSeconds:0} s");
        return seed;
    }

    /// <summary>One to eight changes: bytes set, bits flipped, ranges repeated, moved, zeroed or taken out.</summary>
    public static byte[] Mutate(Random random, byte[] original, int from = 0)
    {
        List<byte> bytes = [.. original];
        for (int changes = random.Next(1, 9); changes > 0 && bytes.Count > from + 1; changes--)
        {
            int at = random.Next(from, bytes.Count), length = Math.Min(bytes.Count - at, 1 << random.Next(0, 8));
            switch (random.Next(7))
            {
                case 0:
                    bytes[at] = (byte)random.Next(256);
                    break;
                case 1:
                    bytes[at] ^= (byte)(1 << random.Next(8));
                    break;
                case 2:
                    bytes[at] = Telling[random.Next(Telling.Length)];
                    break;
                case 3:
                    bytes.InsertRange(at, bytes.GetRange(at, length));
                    break;
                case 4:
                    bytes.InsertRange(random.Next(from, bytes.Count), bytes.GetRange(at, length));
                    break;
                case 5:
                    bytes.RemoveRange(at, length);
                    break;
                default:
                    for (int i = at; i < at + length; i++)
                        bytes[i] = 0xFF;
                    break;
            }
        }
        return [.. bytes];
    }
}
