namespace DiffusionGemma;

/// <summary>The values of the column <see cref="ChatColumns.RowNotes"/>.</summary>
internal static class RowNote
{
    public const string EmptyAnswer = "empty answer", SpecialToken = "special token", EndOfTurn = "end of turn not learned";

    private const string IgnoredKeyStart = "ignored key: ", TemplateStart = "template: ", LastRoleStart = "unknown last role: ";

    public static string IgnoredKey(string key) => IgnoredKeyStart + key;

    public static string UnknownLastRole(string role) => LastRoleStart + role;

    public static string Template(string notice) => TemplateStart + notice;

    /// <summary>The sentence of a note about the chat template; null for other notes.</summary>
    public static string? ReadTemplate(string note) =>
        note.StartsWith(TemplateStart, StringComparison.Ordinal) ? note[TemplateStart.Length..] : null;

    /// <summary>The role of a note about an unknown last role; null for other notes.</summary>
    public static string? ReadUnknownLastRole(string note) =>
        note.StartsWith(LastRoleStart, StringComparison.Ordinal) ? note[LastRoleStart.Length..] : null;

    /// <summary>The key of a note about an ignored key; null for other notes.</summary>
    public static string? ReadIgnoredKey(string note) =>
        note.StartsWith(IgnoredKeyStart, StringComparison.Ordinal) ? note[IgnoredKeyStart.Length..] : null;
}
