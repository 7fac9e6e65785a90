namespace DiffusionGemma;

/// <summary>The values of the column <see cref="ChatColumns.RowNotes"/>.</summary>
internal static class RowNote
{
    public const string EmptyAnswer = "empty answer", SpecialToken = "special token", EndOfTurn = "end of turn not learned";

    private const string IgnoredKeyStart = "ignored key: ", TemplateStart = "template: ", LastRoleStart = "unknown last role: ",
        RoleStart = "unknown role: ";

    public static string IgnoredKey(string key) => IgnoredKeyStart + key;

    public static string UnknownLastRole(string role) => LastRoleStart + role;

    public static string UnknownRole(string role) => RoleStart + role;

    public static string Template(string notice) => TemplateStart + notice;

    /// <summary>The sentence of a note about the chat template; null for other notes.</summary>
    public static string? ReadTemplate(string note) => Read(note, TemplateStart);

    /// <summary>The role of a note about an unknown last role; null for other notes.</summary>
    public static string? ReadUnknownLastRole(string note) => Read(note, LastRoleStart);

    /// <summary>The role of a note about an unknown role before the last; null for other notes.</summary>
    public static string? ReadUnknownRole(string note) => Read(note, RoleStart);

    /// <summary>The key of a note about an ignored key; null for other notes.</summary>
    public static string? ReadIgnoredKey(string note) => Read(note, IgnoredKeyStart);

    private static string? Read(string note, string start) =>
        note.StartsWith(start, StringComparison.Ordinal) ? note[start.Length..] : null;
}
