using System.Diagnostics;
using System.Globalization;

namespace DiffusionGemma.Samples;

/// <summary>
/// A piece of work that says how far it is, and that it goes on: one line that is written over in a terminal, and elsewhere a line every
/// two seconds.
/// </summary>
internal sealed class Work : IDisposable
{
    private static readonly TimeSpan Beat = TimeSpan.FromSeconds(1);
    private static readonly TimeSpan Quiet = TimeSpan.FromSeconds(1.9);

    private readonly string _name;
    private readonly int _total;
    private readonly Stopwatch _clock = Stopwatch.StartNew();
    private readonly Lock _lock = new();
    private readonly Timer _timer;
    private TimeSpan _written;
    private int _done;
    private string _detail = "";
    private bool _isOver;

    /// <param name="name">The work in a few words.</param>
    /// <param name="total">Its parts; 0: unknown.</param>
    public Work(string name, int total = 0)
    {
        (_name, _total) = (name, total);
        Write();
        _timer = new Timer(_ => Write(), null, Beat, Beat);
    }

    private static bool IsTerminal => !Console.IsOutputRedirected && TrainingProcesses.Count == 1;

    /// <summary>Says that parts are done.</summary>
    public void Report(int done, string detail = "")
    {
        lock (_lock) (_done, _detail) = (done, detail);
        Write();
    }

    public void Dispose()
    {
        _timer.Dispose();
        lock (_lock)
        {
            if (_isOver) return;
            _isOver = true;
            string line = string.Create(CultureInfo.InvariantCulture, $"{_name}: {_clock.Elapsed.TotalSeconds:F0} s");
            Console.WriteLine(IsTerminal ? $"\r{line.PadRight(Width)}" : line);
        }
    }

    private static int Width => Math.Max(20, Console.WindowWidth - 1);

    private void Write()
    {
        lock (_lock)
        {
            if (_isOver) return;
            if (IsTerminal)
            {
                string line = Line();
                Console.Write($"\r{(line.Length > Width ? line[..Width] : line.PadRight(Width))}");
            }
            else if (_written == TimeSpan.Zero || _clock.Elapsed - _written >= Quiet)
            {
                _written = _clock.Elapsed;
                Console.WriteLine(Line());
            }
        }
    }

    private string Line()
    {
        if (_total == 0 || _done == 0)
            return string.Create(CultureInfo.InvariantCulture, $"{_name} ... {_clock.Elapsed.TotalSeconds:F0} s");
        double left = _clock.Elapsed.TotalSeconds / _done * (_total - _done);
        return string.Create(CultureInfo.InvariantCulture, $"{_name}: {_done} of {_total}  {_detail}  {left:F0} s left");
    }
}
