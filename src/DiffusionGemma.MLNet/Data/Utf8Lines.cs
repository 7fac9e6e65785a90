namespace DiffusionGemma;

/// <summary>Reads the lines of a UTF-8 file as bytes, so that nothing is decoded before it is checked.</summary>
/// <remarks>
/// Only a line feed ends a line (JSON text may hold every other separator); a carriage return before it and a byte order mark at the file's
/// start do not belong to a line.
/// </remarks>
internal static class Utf8Lines
{
    private const int FirstBufferSize = 1 << 16;
    private const int LongestLine = 1 << 29;

    /// <summary>Reads the lines that are not blank, with their numbers from 1.</summary>
    /// <remarks>A line's memory is valid until the next line is read.</remarks>
    public static IEnumerable<(long Number, ReadOnlyMemory<byte> Line)> Read(string path)
    {
        using var stream = new FileStream(path, FileMode.Open, FileAccess.Read, FileShare.Read, bufferSize: 0);
        byte[] buffer = new byte[FirstBufferSize];
        int start = SkipByteOrderMark(stream, buffer, out int end);
        int searched = start;
        long number = 0;
        while (true)
        {
            int length = buffer.AsSpan(searched, end - searched).IndexOf((byte)'\n');
            if (length >= 0)
            {
                int lineEnd = searched + length;
                number++;
                if (Trimmed(buffer, start, lineEnd) is { IsEmpty: false } line)
                    yield return (number, line);
                start = searched = lineEnd + 1;
                continue;
            }
            if (end - start > LongestLine)
                throw new ChatDataException($"the line is longer than {LongestLine >> 20} MiB: is this file JSON Lines, one conversation "
                    + "a line?", new ChatPosition(path, Line: number + 1));
            MakeRoom(ref buffer, ref start, ref end);
            searched = end;
            int read = stream.Read(buffer, end, buffer.Length - end);
            if (read == 0)
                break;
            end += read;
        }
        if (Trimmed(buffer, start, end) is { IsEmpty: false } last)
            yield return (number + 1, last);
    }

    private static int SkipByteOrderMark(FileStream stream, byte[] buffer, out int end)
    {
        end = stream.ReadAtLeast(buffer, 3, throwOnEndOfStream: false);
        return buffer.AsSpan(0, end).StartsWith((ReadOnlySpan<byte>)[0xEF, 0xBB, 0xBF]) ? 3 : 0;
    }

    /// <summary>The line without white space around it.</summary>
    private static ReadOnlyMemory<byte> Trimmed(byte[] buffer, int start, int end)
    {
        ReadOnlySpan<byte> blank = " \t\r"u8;
        ReadOnlySpan<byte> line = buffer.AsSpan(start, end - start);
        int first = line.IndexOfAnyExcept(blank);
        return first < 0 ? default : buffer.AsMemory(start + first, line.LastIndexOfAnyExcept(blank) - first + 1);
    }

    /// <summary>Moves the unfinished line to the front; a longer line than the buffer gets a larger one.</summary>
    private static void MakeRoom(ref byte[] buffer, ref int start, ref int end)
    {
        int length = end - start;
        byte[] target = length > buffer.Length / 2 ? new byte[checked(buffer.Length * 2)] : buffer;
        buffer.AsSpan(start, length).CopyTo(target);
        (buffer, start, end) = (target, 0, length);
    }
}
