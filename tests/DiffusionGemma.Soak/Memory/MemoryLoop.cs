using System.Globalization;

namespace DiffusionGemma.Soak;

/// <summary>Repeats <see cref="MemoryRound"/>, prints what the process holds after each, and judges how much it has grown.</summary>
internal static class MemoryLoop
{
    /// <summary>Every so many rounds all weights train, in the others an adapter.</summary>
    private const int FullEvery = 4;

    /// <summary>Rounds of a loop on demand.</summary>
    private const int ManyRounds = 50;

    /// <returns>The exit code: 1 where something has grown by more than its limit.</returns>
    public static int Run(SoakArguments arguments)
    {
        using var round = new MemoryRound(arguments.Steps, arguments.Questions);
        List<Footprint> after = [];
        for (int n = 1; n <= arguments.Rounds; n++)
        {
            round.Run(lora: n % FullEvery != 0);
            after.Add(Footprint.Measure());
            Console.WriteLine(string.Create(CultureInfo.InvariantCulture, $"round {n}  {after[^1]}"));
        }
        bool isLong = arguments.Rounds >= ManyRounds;
        // A short loop ends before the compiler has optimised all methods and before glibc's arenas, 8 for each core, have all been
        // as large as a round makes them: those take up to 3 MiB a round at first. A leaked tiny-chat would be 8 MiB a round.
        int warm = isLong ? 11 : Math.Max(Growth.Window, arguments.Rounds / 2);
        bool holds = true;
        foreach (Growth growth in Growth.Of(after, warm, residentLimit: isLong ? 20 : 30))
        {
            holds &= growth.Holds;
            Console.WriteLine(growth);
        }
        return holds ? 0 : 1;
    }
}
