namespace DiffusionGemma;

/// <summary>Counts what several downloads receive and reports it, a few times a second at most.</summary>
internal sealed class ProgressMeter(IProgress<HubProgress>? progress, TimeProvider clock)
{
    private static readonly TimeSpan Interval = TimeSpan.FromMilliseconds(250), Window = TimeSpan.FromSeconds(10);

    private readonly Lock _lock = new();
    private readonly Queue<(long At, long Received)> _samples = new();
    private long _bytes, _totalBytes, _received, _lastReport;
    private int _files, _totalFiles;

    /// <summary>Sets what there is to do.</summary>
    public void Begin(int files, int totalFiles, long bytes, long totalBytes)
    {
        lock (_lock)
        {
            (_files, _totalFiles, _bytes, _totalBytes) = (files, totalFiles, bytes, totalBytes);
            _samples.Enqueue((clock.GetTimestamp(), 0));
            Report(null);
        }
    }

    /// <summary>Bytes came from the network.</summary>
    public void Receive(long bytes)
    {
        lock (_lock)
        {
            _bytes += bytes;
            _received += bytes;
            long now = clock.GetTimestamp();
            if (clock.GetElapsedTime(_lastReport, now) < Interval) return;
            _samples.Enqueue((now, _received));
            while (_samples.Count > 2 && clock.GetElapsedTime(_samples.Peek().At, now) > Window) _samples.Dequeue();
            Report(null);
        }
    }

    /// <summary>Bytes turned out to be here already, or, below zero, have to come again.</summary>
    public void Adjust(long bytes)
    {
        lock (_lock) _bytes += bytes;
    }

    /// <summary>A file is whole.</summary>
    public void Finish()
    {
        lock (_lock)
        {
            _files++;
            Report(null);
        }
    }

    /// <summary>Says something at once.</summary>
    public void Notify(string notice)
    {
        lock (_lock) Report(notice);
    }

    private void Report(string? notice)
    {
        if (progress is null) return;
        _lastReport = clock.GetTimestamp();
        bool any = _samples.TryPeek(out (long At, long Received) first);
        double seconds = any ? clock.GetElapsedTime(first.At, _lastReport).TotalSeconds : 0;
        progress.Report(new HubProgress
        {
            Files = _files,
            TotalFiles = _totalFiles,
            Bytes = _bytes,
            TotalBytes = _totalBytes,
            BytesPerSecond = seconds > 0 ? (_received - first.Received) / seconds : 0,
            Notice = notice,
        });
    }
}
