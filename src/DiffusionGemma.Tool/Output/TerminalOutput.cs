using System.Text;
using Spectre.Console;

namespace DiffusionGemma;

/// <summary>Standard output or standard error for Spectre.Console.</summary>
/// <param name="writer">Takes the text.</param>
/// <param name="isTerminal">True where the text goes to a terminal.</param>
internal sealed class TerminalOutput(TextWriter writer, bool isTerminal) : IAnsiConsoleOutput
{
    private readonly AnsiConsoleOutput _size = new(writer);

    public TextWriter Writer => writer;

    public bool IsTerminal => isTerminal;

    public int Width => _size.Width;

    public int Height => _size.Height;

    public void SetEncoding(Encoding encoding) => _size.SetEncoding(encoding);
}
