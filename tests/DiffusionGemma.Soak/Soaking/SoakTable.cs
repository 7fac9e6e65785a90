using System.Globalization;
using System.Text;

namespace DiffusionGemma.Soak;

/// <summary>The soak's results as a Markdown table: two lines a part, its start and its end, each the medians of a few slices.</summary>
internal sealed class SoakTable
{
    private const double Mebi = 1 << 20;

    private static readonly string[] Heads =
    [
        "part", "", "done", "cancelled", "a second", "processor time of one", "resident", "native in use", "managed", "threads", "mappings",
        "descriptors", "tensors",
    ];

    private readonly StringBuilder _text = new(
        $"| {string.Join(" | ", Heads)} |\n|{string.Concat(Enumerable.Repeat("---|", Heads.Length))}\n");

    /// <summary>Adds a part.</summary>
    public void Add(string part, List<Slice> slices, int window)
    {
        Line(part, "start", [.. slices.Take(1 + window)], slices[1..(1 + window)]);
        Line("", "end", slices, slices[^window..]);
    }

    public static double Median(IEnumerable<Slice> slices, Func<Slice, double> of)
    {
        double[] values = [.. slices.Select(of).Order()];
        return values[values.Length / 2];
    }

    public override string ToString() => _text.ToString();

    /// <param name="part">Name of the part.</param>
    /// <param name="when">Start or end.</param>
    /// <param name="until">The slices so far, whose work is added up.</param>
    /// <param name="slices">The slices that medians are taken of.</param>
    private void Line(string part, string when, List<Slice> until, List<Slice> slices)
    {
        double Of(Func<Footprint, double> of) => Median(slices, slice => of(slice.After));
        _text.AppendLine(CultureInfo.InvariantCulture,
            $"| {part} | {when} | {until.Sum(s => s.Work.Done)} | {until.Sum(s => s.Work.Cancelled)} "
            + $"| {Median(slices, s => s.PerSecond):0.#} | {Median(slices, s => s.Milliseconds):0.##} ms "
            + $"| {Of(f => f.Resident / Mebi):0} MiB | {Of(f => (f.Native.Used + f.Native.Mapped) / Mebi):0} MiB "
            + $"| {Of(f => f.Managed / Mebi):0.#} MiB | {Of(f => f.Threads):0} | {Of(f => f.Mappings):0} | {Of(f => f.Descriptors):0} "
            + $"| {Of(f => f.Tensors):0} |");
    }
}
