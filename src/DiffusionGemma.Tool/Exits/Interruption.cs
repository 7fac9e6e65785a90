using System.Runtime.InteropServices;

namespace DiffusionGemma;

/// <summary>Ctrl+C, SIGTERM and SIGHUP: the first asks the work to end, the second ends the process at once.</summary>
internal sealed class Interruption : IDisposable
{
    private readonly CancellationTokenSource _source = new();
    private readonly List<PosixSignalRegistration> _signals = [];
    private readonly ToolOutput _output;

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

    /// <summary>Takes a Ctrl+C in place of this, where it returns true; null: nobody does.</summary>
    public Func<bool>? Handler { get; set; }

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
        if (!_source.IsCancellationRequested) Code = CodeOf(context.Signal);
        if (Handler is not null || _source.IsCancellationRequested)
        {
            _output.RestoreTerminal();
            AbruptExit.With(Code);
        }
        _output.Say(Message);
        _source.Cancel();
    }

    private static int CodeOf(PosixSignal signal) => signal switch
    {
        PosixSignal.SIGTERM => ExitCode.Terminated,
        PosixSignal.SIGHUP => ExitCode.HungUp,
        _ => ExitCode.Cancelled,
    };
}
