namespace DiffusionGemma;

/// <summary>Reads the lines of a UTF-8 file as bytes, so that nothing is decoded before it is checked.</summary>
/// <remarks>
/// Only a line feed ends a line (JSON text may hold every other separator); a carriage return before it and a byte order mark at the file's
/// start do not belong to a line.
/// </remarks>
internal static class Utf8Lines
{
    private const int LongestLine = 1 << 29;

    /// <summary>Reads the lines that are not blank, with their numbers from 1.</summary>
    /// <remarks>A line's memory is valid until the next line is read.</remarks>
    public static IEnumerable<(long Number, ReadOnlyMemory<byte> Line)> Read(ByteWindow window, string path)
    {
        int searched = 0;
        long number = 0;
        while (true)
        {
            ReadOnlyMemory<byte> bytes = window.Bytes;
            int length = bytes.Span[searched..].IndexOf((byte)'\n');
            if (length >= 0)
            {
                int lineEnd = searched + length;
                number++;
                if (Trimmed(bytes[..lineEnd]) is { IsEmpty: false } line)
                    yield return (number, line);
                window.Advance(lineEnd + 1);
                searched = 0;
                continue;
            }
            if (bytes.Length > LongestLine)
                throw new ChatDataException($"the line is longer than {LongestLine >> 20} MiB: is this file JSON Lines, one conversation "
                    + "a line?", new ChatPosition(path, Line: number + 1));
            searched = bytes.Length;
            if (!window.TryFill())
                break;
        }
        if (Trimmed(window.Bytes) is { IsEmpty: false } last)
            yield return (number + 1, last);
    }

    /// <summary>Finds the first line that is not blank, without using it up; null in a blank file.</summary>
    public static (long Number, ReadOnlyMemory<byte> Line)? PeekFirst(ByteWindow window)
    {
        do
        {
            ReadOnlyMemory<byte> rest = window.Bytes;
            for (long number = 1; rest.Span.IndexOf((byte)'\n') is var end and >= 0; number++, rest = rest[(end + 1)..])
                if (Trimmed(rest[..end]) is { IsEmpty: false } line)
                    return (number, line);
        }
        while (window.Bytes.Length <= LongestLine && window.TryFill());
        int breaks = window.Bytes.Span.Count((byte)'\n');
        ReadOnlyMemory<byte> last = Trimmed(window.Bytes[(window.Bytes.Span.LastIndexOf((byte)'\n') + 1)..]);
        return last.IsEmpty ? null : (breaks + 1, last);
    }

    /// <summary>The line without white space around it.</summary>
    private static ReadOnlyMemory<byte> Trimmed(ReadOnlyMemory<byte> line)
    {
        ReadOnlySpan<byte> blank = " \t\r"u8;
        int first = line.Span.IndexOfAnyExcept(blank);
        return first < 0 ? default : line[first..(line.Span.LastIndexOfAnyExcept(blank) + 1)];
    }
}
