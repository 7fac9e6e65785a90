namespace DiffusionGemma;

/// <summary>Patterns of JSON Schema's string formats: the parts of each that validators agree on, dates by the calendar.</summary>
internal static class StringFormats
{
    private const string Year = "[1-9][0-9]{3}";
    private const string LeapYear = "(?:[1-9][0-9](?:0[48]|[2468][048]|[13579][26])|(?:[2468][048]|[13579][26])00)";
    private const string Date =
        $"(?:{Year}-(?:0[13578]|1[02])-(?:0[1-9]|[12][0-9]|3[01])|{Year}-(?:0[469]|11)-(?:0[1-9]|[12][0-9]|30)"
        + $"|{Year}-02-(?:0[1-9]|1[0-9]|2[0-8])|{LeapYear}-02-29)";
    private const string Clock = "(?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](?:\\.[0-9]{1,7})?";

    /// <summary>No place is further from UTC than 14 hours, and .NET reads no larger offset.</summary>
    private const string Offset = "(?:Z|[+\\-](?:(?:0[0-9]|1[0-3]):[0-5][0-9]|14:00))";
    private const string Time = Clock + Offset;
    private const string Count = "[1-9][0-9]{0,3}", Below100 = "[1-9][0-9]?";
    private const string Octet = "(?:25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])";
    private const string Label = "[A-Za-z0-9](?:[A-Za-z0-9\\-]{0,30}[A-Za-z0-9])?";
    private const string HostName = Label + "(?:\\." + Label + "){0,4}";

    public static IReadOnlyCollection<string> Names => Patterns.Keys;

    private static Dictionary<string, string> Patterns { get; } = new()
    {
        ["date"] = Date,
        ["time"] = Time,
        ["date-time"] = $"{Date}T{Time}",
        ["duration"] = $"P(?:{Count}W|{Count}D|(?:{Count}D)?T("
            + $"?:{Count}H(?:{Below100}M)?(?:{Below100}S)?|{Count}M(?:{Below100}S)?|{Count}S))",
        ["email"] = "[A-Za-z0-9_+\\-]{1,32}(?:\\.[A-Za-z0-9_+\\-]{1,32}){0,3}@" + Label + "(?:\\." + Label + "){0,2}\\.[A-Za-z]{2,10}",
        ["hostname"] = HostName,
        ["ipv4"] = $"{Octet}(?:\\.{Octet}){{3}}",
        ["uuid"] = "[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}",
        ["uri"] = "https?://" + HostName + "(?::[1-9][0-9]{0,3})?(?:/[A-Za-z0-9\\-._~]*)*(?:\\?[A-Za-z0-9\\-._~=&]*)?",
    };

    /// <summary>A date and time with or without an offset, as .NET writes a DateTime.</summary>
    public const string LocalDateTime = $"{Date}T{Clock}{Offset}?";

    /// <summary>The pattern of a whole string, null for an unknown format.</summary>
    public static string? Pattern(string name) => Patterns.GetValueOrDefault(name);
}
