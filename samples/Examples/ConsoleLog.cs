using Microsoft.ML;
using Microsoft.ML.Runtime;

namespace DiffusionGemma.Samples;

/// <summary>Prints what the library's parts log: rows, steps, evaluations, downloads, warnings.</summary>
internal static class ConsoleLog
{
    public static void Attach(MLContext ml) => ml.Log += (_, line) =>
    {
        if (line.Source.Contains("DiffusionGemma", StringComparison.Ordinal) && line.Kind >= ChannelMessageKind.Info)
            Console.WriteLine(line.RawMessage);
    };
}
