using System.Text;

namespace DiffusionGemma.Output;

public sealed class TerminalWriterTests
{
    /// <summary>Writes to a closed terminal fail; a run that was hung up goes on to its checkpoint without it.</summary>
    [Fact]
    public void A_terminal_that_is_gone_ends_nothing()
    {
        var output = new ToolOutput(new Broken(), new Broken(), isJson: false, hasOutputTerminal: true, hasErrorTerminal: true);
        output.Say("Stopping.");
        Assert.Contains("Standard output cannot be written (Input/output error)",
            Assert.Throws<IOException>(() => output.Result("a result", new { })).Message, StringComparison.Ordinal);
        output.IgnoreErrors();
        output.Result("a result", new { });
        output.Fail("Stopped.");
        output.RestoreTerminal();
    }

    [Fact]
    public void A_file_that_cannot_be_written_still_fails()
    {
        var output = new ToolOutput(new Broken(), new StringWriter(), isJson: false, hasOutputTerminal: false, hasErrorTerminal: true);
        output.IgnoreErrors();
        Assert.Throws<IOException>(() => output.Result("a result", new { }));
    }

    private sealed class Broken : TextWriter
    {
        public override Encoding Encoding => Encoding.UTF8;

        public override void Write(char value) => throw new IOException("Input/output error");

        public override void Flush()
        {
        }
    }
}
