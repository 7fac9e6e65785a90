using System.Globalization;

namespace DiffusionGemma.Soak;

/// <summary>Growth of one thing that a process holds, over the rounds of a loop.</summary>
/// <param name="Name">The thing.</param>
/// <param name="Before">The median of three rounds at the end of the warm-up.</param>
/// <param name="After">The median of the last three rounds.</param>
/// <param name="Limit">The growth that is allowed.</param>
internal sealed record Growth(string Name, double Before, double After, double Limit)
{
    private const double Mebi = 1 << 20;

    /// <summary>Rounds of a loop on demand.</summary>
    private const int ManyRounds = 50;

    public bool Holds => After - Before <= Limit;

    /// <summary>Compares the last three rounds with the end of the warm-up: the tenth round, or half of a short loop.</summary>
    public static IReadOnlyList<Growth> Of(IReadOnlyList<Footprint> rounds, int count)
    {
        bool isLong = count >= ManyRounds;
        int warm = isLong ? 11 : Math.Max(3, count / 2);
        double At(int end, Func<Footprint, double> of) => rounds.Skip(end - 3).Take(3).Select(of).Order().ElementAt(1);
        Growth Compare(string name, double limit, Func<Footprint, double> of) => new(name, At(warm, of), At(count, of), limit);
        return
        [
            // A short loop ends before the compiler has optimised all methods and before glibc's arenas, 8 for each core, have all been
            // as large as a round makes them: those take up to 3 MiB a round at first. A leaked tiny-chat would be 8 MiB a round.
            Compare("resident, MiB", isLong ? 20 : 30, f => f.Resident / Mebi),
            // What the C library has not been given back: no caches of arenas, and the same to a few MiB in every round.
            Compare("native memory in use, MiB", 5, f => (f.Native.Used + f.Native.Mapped) / Mebi),
            Compare("managed, MiB", 3, f => f.Managed / Mebi),
            // Threads of pools come and go, and each has a stack, which is two mappings; compiled methods are mapped as well.
            Compare("threads", 6, f => f.Threads),
            Compare("mappings", 60, f => f.Mappings),
            Compare("file descriptors", 4, f => f.Descriptors),
            Compare("tensors", 0, f => f.Tensors),
        ];
    }

    public override string ToString() => string.Create(CultureInfo.InvariantCulture,
        $"{(Holds ? "holds" : "GROWS")}  {Name}: {Before:0.#} -> {After:0.#}, at most {Limit:0.#} more");
}
