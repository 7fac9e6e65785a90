using System.Text.Json;

namespace DiffusionGemma;

/// <summary>A command line that ran in this process.</summary>
/// <param name="Code">The exit code.</param>
/// <param name="Output">Standard output.</param>
/// <param name="Error">Standard error.</param>
internal sealed record ToolRun(int Code, string Output, string Error)
{
    public static async Task<ToolRun> RunAsync(params string[] arguments)
    {
        StringWriter output = new(), error = new();
        int code = await ToolProgram.RunAsync(
            arguments, TextWriter.Synchronized(output), TextWriter.Synchronized(error), hasOutputTerminal: false, hasErrorTerminal: false);
        return new ToolRun(code, output.ToString(), error.ToString());
    }

    /// <summary>Runs a command line that must succeed.</summary>
    public static async Task<ToolRun> SucceedAsync(params string[] arguments)
    {
        ToolRun run = await RunAsync(arguments);
        Assert.True(run.Code == 0, $"diffusion-gemma {string.Join(' ', arguments)} ended with {run.Code}.\n{run.Output}\n{run.Error}");
        return run;
    }

    /// <summary>The objects of <c>--json</c>: each line of the output is one.</summary>
    public IReadOnlyList<JsonElement> Objects =>
        [.. Output.Split('\n', StringSplitOptions.RemoveEmptyEntries).Select(line => JsonDocument.Parse(line).RootElement)];

    /// <summary>The objects of one kind.</summary>
    public IReadOnlyList<JsonElement> Events(string name) => [.. Objects.Where(item => item.GetProperty("event").GetString() == name)];
}
