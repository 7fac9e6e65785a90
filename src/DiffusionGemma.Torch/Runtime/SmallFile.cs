using System.Text;

namespace DiffusionGemma;

/// <summary>Reads the small text files of a checkpoint's folder.</summary>
internal static class SmallFile
{
    private const int MaxBytes = 64 << 20;

    /// <summary>Reads a file in UTF-8, or in the encoding that its byte order mark names.</summary>
    /// <remarks>
    /// Exactly as many bytes are read as the file has at the beginning: a device without an end, such as /dev/zero behind a link, has none.
    /// </remarks>
    /// <exception cref="IOException">It cannot be read, or is larger than such a file ever is.</exception>
    public static string ReadText(string path)
    {
        using var stream = new FileStream(
            RegularFile.Require(path), FileMode.Open, FileAccess.Read, FileShare.ReadWrite | FileShare.Delete, bufferSize: 0);
        if (stream.Length > MaxBytes) throw new IOException($"{path} has {stream.Length:N0} bytes, and such a file at most {MaxBytes:N0}");
        byte[] bytes = new byte[stream.Length];
        int read = stream.ReadAtLeast(bytes, bytes.Length, throwOnEndOfStream: false);
        using var text = new StreamReader(new MemoryStream(bytes, 0, read), Encoding.UTF8, detectEncodingFromByteOrderMarks: true);
        return text.ReadToEnd();
    }
}
