using System.Text;

namespace DiffusionGemma;

/// <summary>The tool's entry.</summary>
internal static class Program
{
    /// <summary>Runs a command line on the console.</summary>
    /// <returns>One of <see cref="ExitCode"/>.</returns>
    public static Task<int> Main(string[] arguments)
    {
        Console.OutputEncoding = new UTF8Encoding(encoderShouldEmitUTF8Identifier: false);
        return ToolProgram.RunAsync(arguments, Console.Out, Console.Error, !Console.IsOutputRedirected, !Console.IsErrorRedirected);
    }
}
