using System.Text;

namespace DiffusionGemma;

/// <summary>Passes text on to a stream, until its terminal is closed: from then on nothing is written, and nothing fails.</summary>
/// <param name="inner">The stream.</param>
internal sealed class TerminalWriter(TextWriter inner) : TextWriter
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
        catch (IOException) when (_ignoresErrors)
        {
            // Nobody is there to read it.
        }
    }
}
