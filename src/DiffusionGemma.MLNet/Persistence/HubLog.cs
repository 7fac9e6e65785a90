using System.Diagnostics;
using Microsoft.ML.Runtime;

namespace DiffusionGemma;

/// <summary>Writes a download's progress to a log: notices at once, how far it is every ten seconds and at its end.</summary>
internal sealed class HubLog(IChannel log) : IProgress<HubProgress>
{
    private static readonly TimeSpan Interval = TimeSpan.FromSeconds(10);

    private long _last = Stopwatch.GetTimestamp();

    public void Report(HubProgress value)
    {
        if (value.Notice is { } notice)
        {
            log.Warning(MessageSensitivity.None, notice);
        }
        else if (value.Files == value.TotalFiles || Stopwatch.GetElapsedTime(_last) >= Interval)
        {
            _last = Stopwatch.GetTimestamp();
            log.Info(MessageSensitivity.None, value.ToString());
        }
    }
}
