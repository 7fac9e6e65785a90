using System.Runtime.InteropServices;

namespace DiffusionGemma;

/// <summary>
/// Ctrl+C, SIGTERM and SIGHUP: the first asks the work to end, the second ends the process at once; so does the first where there is
/// nothing to keep (<see cref="AtOnce"/>).
/// </summary>
internal sealed class Interruption : IDisposable
{
    private readonly CancellationTokenSource _source = new();
    private readonly List<PosixSignalRegistration> _signals = [];
    private readonly ToolOutput _output;
    private readonly Lock _lock = new();
    private bool _isAsked;

    /// <param name="output">Shows what the first one does.</param>
    public Interruption(ToolOutput output)
    {
        _output = output;
        _signals.Add(PosixSignalRegistration.Create(PosixSignal.SIGINT, Handle));
        _signals.Add(PosixSignalRegistration.Create(PosixSignal.SIGTERM, Handle));
        _signals.Add(PosixSignalRegistration.Create(PosixSignal.SIGHUP, Handle));
    }

    /// <summary>Cancelled by the first.</summary>
    public CancellationToken Token => _source.Token;

    /// <summary>The exit code of work that ends because of the first.</summary>
    public int Code { get; private set; } = ExitCode.Cancelled;

    /// <summary>Told at the first: what happens now.</summary>
    public string Message { get; set; } = "Stopping. Ctrl+C again ends at once.";

    /// <summary>
    /// Said at the first signal, which then ends the process: for work that keeps nothing of what it has done. Null: the work is asked to
    /// end.
    /// </summary>
    public Func<string>? AtOnce
    {
        get;
        set
        {
            lock (_lock)
            {
                field = value;
                if (value is null || !_isAsked) return;
            }
            End();                                                                        // the signal came a moment before
        }
    }

    /// <summary>Takes a Ctrl+C in place of this, where it returns true; null: nobody does.</summary>
    public Func<bool>? Handler { get; set; }

    /// <summary>An <see cref="AtOnce"/> of work that writes no file.</summary>
    public static string Stopped() => "Stopped.";

    public void Dispose()
    {
        foreach (PosixSignalRegistration signal in _signals) signal.Dispose();
        _source.Dispose();
    }

    private void Handle(PosixSignalContext context)
    {
        context.Cancel = true;
        bool isInterrupt = context.Signal == PosixSignal.SIGINT;
        // the terminal of a run that was hung up is gone, and the run goes on to its checkpoint without it
        if (context.Signal == PosixSignal.SIGHUP) _output.IgnoreErrors();
        if (isInterrupt && Handler?.Invoke() == true) return;
        bool ends;
        lock (_lock)
        {
            if (!_isAsked) Code = CodeOf(context.Signal);
            ends = Handler is not null || AtOnce is not null || _isAsked;
            _isAsked = true;
        }
        if (ends) End();
        _output.Say(Message);
        _source.Cancel();
    }

    private void End()
    {
        if (AtOnce is { } words) _output.Fail(words());
        _output.RestoreTerminal();
        AbruptExit.With(Code);
    }

    private static int CodeOf(PosixSignal signal) => signal switch
    {
        PosixSignal.SIGTERM => ExitCode.Terminated,
        PosixSignal.SIGHUP => ExitCode.HungUp,
        _ => ExitCode.Cancelled,
    };
}
