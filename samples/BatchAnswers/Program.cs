// Answers every row of a parquet file into another one. Killed at any moment and started again, it goes on where it was.
using DiffusionGemma.Samples;
using Spectre.Console;

if (BatchArguments.Parse(args) is not { } arguments) return 2;

using var stop = new CancellationTokenSource();
Console.CancelKeyPress += (_, pressed) =>
{
    pressed.Cancel = true;                                          // once: the answers so far are kept; twice: at once
    if (stop.IsCancellationRequested) Environment.Exit(130);
    stop.Cancel();
};
try
{
    await new BatchRun(arguments).RunAsync(stop.Token);
    return 0;
}
catch (OperationCanceledException)
{
    AnsiConsole.MarkupLineInterpolated($"Stopped. Start it again with the same arguments, and it goes on from there.");
    return 130;
}
catch (Exception error) when (error is IOException or FormatException or ArgumentException or UnauthorizedAccessException)
{
    AnsiConsole.MarkupLineInterpolated($"[red]{error.Message}[/]");
    return 1;
}
