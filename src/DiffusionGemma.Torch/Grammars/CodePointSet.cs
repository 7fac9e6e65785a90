namespace DiffusionGemma;

/// <summary>A set of Unicode scalar values (code points without surrogates), as sorted, disjoint, inclusive ranges.</summary>
internal sealed class CodePointSet
{
    public const int Last = 0x10FFFF;

    private CodePointSet(List<(int First, int Last)> ranges) => Ranges = ranges;

    public static CodePointSet All { get; } = Of((0, Last));

    public static CodePointSet None { get; } = Of();

    public IReadOnlyList<(int First, int Last)> Ranges { get; }

    public bool IsEmpty => Ranges.Count == 0;

    /// <summary>Number of code points.</summary>
    public int Count => Ranges.Sum(range => range.Last - range.First + 1);

    /// <summary>The union of inclusive ranges; surrogates are left out.</summary>
    public static CodePointSet Of(params IEnumerable<(int First, int Last)> ranges)
    {
        const int FirstSurrogate = 0xD800, LastSurrogate = 0xDFFF;
        var pieces = new List<(int First, int Last)>();
        foreach ((int first, int last) in ranges)
        {
            if (first < FirstSurrogate) pieces.Add((first, Math.Min(last, FirstSurrogate - 1)));
            if (last > LastSurrogate) pieces.Add((Math.Max(first, LastSurrogate + 1), last));
        }
        pieces.RemoveAll(piece => piece.First > piece.Last);
        pieces.Sort();
        var merged = new List<(int First, int Last)>();
        foreach ((int first, int last) in pieces)
        {
            if (merged.Count > 0 && first <= merged[^1].Last + 1) merged[^1] = (merged[^1].First, Math.Max(merged[^1].Last, last));
            else merged.Add((first, last));
        }
        return new CodePointSet(merged);
    }

    public static CodePointSet OfCharacters(string characters) => Of(characters.EnumerateRunes().Select(rune => (rune.Value, rune.Value)));

    public CodePointSet Union(CodePointSet other) => Of(Ranges.Concat(other.Ranges));

    public CodePointSet Complement()
    {
        var rest = new List<(int, int)>();
        int next = 0;
        foreach ((int first, int last) in Ranges)
        {
            rest.Add((next, first - 1));
            next = last + 1;
        }
        rest.Add((next, Last));
        return Of(rest);
    }

    public CodePointSet Intersect(CodePointSet other) => Complement().Union(other.Complement()).Complement();

    public bool Contains(int codePoint) => Ranges.Any(range => range.First <= codePoint && codePoint <= range.Last);
}
