using System.Globalization;

namespace DiffusionGemma.Soak;

/// <summary>Runs all parts of the soak one after the other, and prints what each held and did at its start and its end.</summary>
internal static class SoakRun
{
    /// <summary>Slices of each part. The first is the warm-up of compilers and caches; start and end are three slices each.</summary>
    private const int Slices = 10;

    /// <summary>Between two forced collections, which else would take most of the time.</summary>
    private static readonly TimeSpan Pause = TimeSpan.FromMilliseconds(50);

    /// <summary>MiB of physical memory that a part may add after its first four slices.</summary>
    private const double ResidentLimit = 30;

    /// <summary>Processor time that an answer or a row may take at the end, as a multiple of that at the start.</summary>
    private const double CostLimit = 2;

    /// <returns>The exit code: 1 where something has grown by more than its limit.</returns>
    public static async Task<int> RunAsync(SoakArguments arguments)
    {
        TimeSpan slice = TimeSpan.FromMinutes(arguments.Minutes) / 2 / Slices;
        (string Name, Func<ISoakPart> Make)[] parts =
        [
            ("lives", () => new ModelLives(ranks: 1, slice)),
            ("ranks", () => new ModelLives(ranks: 4, slice)),
            ("rows", () => new TextRows(Math.Max(1, arguments.Rows / Slices))),
            ("chat", () => new ChatRequests(Math.Max(1, arguments.Requests / Slices), arguments.Callers)),
        ];
        var table = new SoakTable();
        bool holds = true;
        using (var collecting = new CollectingThread(Pause))
        {
            foreach ((_, Func<ISoakPart> make) in parts.Where(part => arguments.Only is null || part.Name == arguments.Only))
            {
                using ISoakPart part = make();
                var slices = new List<Slice>();
                for (int n = 1; n <= Slices; n++)
                {
                    slices.Add(await Slice.MeasureAsync(part.RunSliceAsync));
                    Console.WriteLine(string.Create(CultureInfo.InvariantCulture,
                        $"{part.Name} {n}/{Slices}  {slices[^1].Work.Done} and {slices[^1].Work.Cancelled} cancelled "
                        + $"in {slices[^1].Time.TotalSeconds:F1} s  {slices[^1].After}"));
                }
                holds &= Judge(part.Name, slices);
                table.Add(part.Name, slices, Growth.Window);
            }
            Console.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{collecting.Collections} collections were forced\n"));
        }
        Console.WriteLine(table);
        return holds ? 0 : 1;
    }

    private static bool Judge(string part, List<Slice> slices)
    {
        const int Warm = 1 + Growth.Window;
        bool holds = true;
        foreach (Growth growth in Growth.Of([.. slices.Select(slice => slice.After)], Warm, ResidentLimit))
        {
            holds &= growth.Holds;
            Console.WriteLine($"{part}: {growth}");
        }
        double before = SoakTable.Median(slices[1..Warm], slice => slice.Milliseconds);
        double after = SoakTable.Median(slices[^Growth.Window..], slice => slice.Milliseconds);
        bool isSteady = after <= CostLimit * before;
        Console.WriteLine(string.Create(CultureInfo.InvariantCulture,
            $"{part}: {(isSteady ? "holds" : "GROWS")}  processor time of one, ms: {before:0.###} -> {after:0.###}, "
            + $"at most {CostLimit} times"));
        return holds && isSteady;
    }
}
