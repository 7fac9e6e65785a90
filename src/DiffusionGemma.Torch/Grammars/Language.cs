namespace DiffusionGemma;

/// <summary>
/// A regular language as an expression. Patterns and schemas are read into it over code points; <see cref="CharacterEncoding"/> rewrites
/// <see cref="Characters"/> into bytes; <see cref="ByteAutomaton"/> is compiled from the rest.
/// </summary>
internal abstract record Language
{
    /// <summary>The empty string alone.</summary>
    public static Language Empty { get; } = new Sequence([]);

    /// <summary>No string at all.</summary>
    public static Language Nothing { get; } = new Choice([]);

    /// <summary>The UTF-8 bytes of a text, as they are.</summary>
    public static Language Text(string text) =>
        new Sequence([.. System.Text.Encoding.UTF8.GetBytes(text).Select(b => (Language)new Bytes(b, b))]);

    public static Language Optional(Language item) => new Repeat(item, 0, 1);

    /// <summary>One code point of a set.</summary>
    internal sealed record Characters(CodePointSet Set) : Language;

    /// <summary>One byte of an inclusive range.</summary>
    internal sealed record Bytes(byte First, byte Last) : Language;

    /// <summary>One special token, which has no bytes.</summary>
    internal sealed record Token(int Id) : Language;

    internal sealed record Sequence(IReadOnlyList<Language> Parts) : Language;

    internal sealed record Choice(IReadOnlyList<Language> Options) : Language;

    /// <summary>An item at least and at most so often; null: without limit.</summary>
    internal sealed record Repeat(Language Item, int Least, int? Most) : Language;

    /// <summary>
    /// Items in their order with a comma between those that are written; one that is not required may be left out. Each is compiled once,
    /// where nested sequences would hold it once for every property before it.
    /// </summary>
    internal sealed record Properties(IReadOnlyList<(Language Item, bool IsRequired)> Items) : Language;

    /// <summary>One item or more with commas between them; the item is compiled once.</summary>
    internal sealed record List(Language Item) : Language;

    /// <summary>Strings of both languages.</summary>
    internal sealed record Both(Language First, Language Second) : Language;

    /// <summary>An automaton over the 256 bytes, as it is.</summary>
    internal sealed record Table(StateTable States) : Language;

    /// <summary>A part that errors name, compiled and minimised by itself.</summary>
    /// <param name="Path">The part's path.</param>
    /// <param name="Inner">Its language.</param>
    /// <param name="IsCut">True where a recursion that goes too deep was cut off: nothing is allowed.</param>
    internal sealed record Part(string Path, Language Inner, bool IsCut = false) : Language;
}
