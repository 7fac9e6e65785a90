namespace DiffusionGemma;

/// <summary>Text of a model, and of whoever wrote what it read, for a terminal.</summary>
internal static class ConsoleText
{
    /// <summary>Byte tokens may spell escape sequences: control characters are shown, not sent.</summary>
    public static string Safe(string text) => text.AsSpan().IndexOfAnyInRange('\0', '\u001f') < 0
        && text.AsSpan().IndexOfAnyInRange('\u007f', '\u009f') < 0
        ? text : string.Concat(text.Select(c => char.IsControl(c) && c is not ('\n' or '\t') ? '\uFFFD' : c));
}
