using Microsoft.ML;
using Microsoft.ML.Runtime;

namespace DiffusionGemma;

/// <summary>Lines of ML.NET's log that a user of the tool wants to see: warnings, downloads, and what is trained.</summary>
internal static class LogLines
{
    private static readonly string[] Sources = ["HubRepository"];

    /// <summary>Makes a context whose log goes to standard error.</summary>
    public static MLContext CreateContext(ToolOutput output, int? seed = null)
    {
        var ml = new MLContext(seed);
        var told = new HashSet<string>(StringComparer.Ordinal);          // a view that is read twice warns twice of the same row
        ml.Log += (_, log) =>
        {
            if (log.Kind >= ChannelMessageKind.Warning)
            {
                lock (told)
                    if (!told.Add(log.RawMessage)) return;
                output.Say($"note: {ToolWords.Of(log.RawMessage)}");
            }
            else if (log.Kind == ChannelMessageKind.Info && IsWanted(log)) output.Say(log.RawMessage);
        };
        return ml;
    }

    private static bool IsWanted(LoggingEventArgs log) =>
        Sources.Any(source => log.Source.Contains(source, StringComparison.Ordinal))
        || log.RawMessage.Contains("rows to train on", StringComparison.Ordinal)
        || log.RawMessage.StartsWith("LoRA of rank", StringComparison.Ordinal);
}
