using System.Globalization;

namespace DiffusionGemma.Soak;

/// <summary>Growth of one thing that a process holds, over the rounds of a loop.</summary>
/// <param name="Name">The thing.</param>
/// <param name="Before">The median of three rounds at the end of the warm-up.</param>
/// <param name="After">The median of the last three rounds.</param>
/// <param name="Limit">The growth that is allowed.</param>
internal sealed record Growth(string Name, double Before, double After, double Limit)
{
    /// <summary>Rounds that a median is taken of.</summary>
    public const int Window = 3;

    private const double Mebi = 1 << 20;

    public bool Holds => After - Before <= Limit;

    /// <summary>Compares the last three rounds with those that end the warm-up.</summary>
    /// <param name="rounds">What the process held after each round.</param>
    /// <param name="warm">Rounds of the warm-up, three at least.</param>
    /// <param name="residentLimit">MiB of physical memory that may be added.</param>
    public static IReadOnlyList<Growth> Of(IReadOnlyList<Footprint> rounds, int warm, double residentLimit)
    {
        double At(int end, Func<Footprint, double> of) =>
            rounds.Skip(end - Window).Take(Window).Select(of).Order().ElementAt(Window / 2);
        Growth Compare(string name, double limit, Func<Footprint, double> of) => new(name, At(warm, of), At(rounds.Count, of), limit);
        return
        [
            Compare("resident, MiB", residentLimit, f => f.Resident / Mebi),
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
