using System.Collections.Concurrent;

namespace DiffusionGemma;

/// <summary>Everything that was reported.</summary>
internal sealed class ProgressList : IProgress<HubProgress>
{
    private readonly ConcurrentQueue<HubProgress> _reports = new();

    public HubProgress[] Reports => [.. _reports];

    public string[] Notices => [.. _reports.Select(report => report.Notice).OfType<string>()];

    public void Report(HubProgress value) => _reports.Enqueue(value);
}
