using System.Text;

namespace DiffusionGemma;

/// <summary>
/// Passes text on to a stream. A write fails by the stream's name, or, where errors are ignored, not at all: of a terminal that was closed,
/// and of notes that nobody can read.
/// </summary>
/// <param name="inner">The stream.</param>
/// <param name="name">Its name in an error.</param>
internal sealed class TerminalWriter(TextWriter inner, string name) : TextWriter
{
    private volatile bool _ignoresErrors;

    /// <summary>True where a write that fails is not an error.</summary>
    public bool IgnoresErrors
    {
        get => _ignoresErrors;
        set => _ignoresErrors = value;
    }

    public override Encoding Encoding => inner.Encoding;

    public override void Write(char value) => Try(() => inner.Write(value));

    public override void Write(char[] buffer, int index, int count) => Try(() => inner.Write(buffer, index, count));

    public override void Write(string? value) => Try(() => inner.Write(value));

    public override void WriteLine(string? value) => Try(() => inner.WriteLine(value));

    public override void Flush() => Try(inner.Flush);

    private void Try(Action write)
    {
        try
        {
            write();
        }
        // A stream that was closed before the process began may be another file's by now, which is not open for writing.
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            // Ignored: nobody is there to read it.
            if (!_ignoresErrors) throw new IOException($"{name} cannot be written ({e.Message.TrimEnd('.')}).", e);
        }
    }
}
