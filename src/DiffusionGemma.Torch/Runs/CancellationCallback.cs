using System.Runtime.ExceptionServices;

namespace DiffusionGemma;

/// <summary>
/// Ends all ranks before the same step where the caller cancels on any rank, or a listener throws <see cref="OperationCanceledException"/>
/// (as one under a cancelled MLContext does).
/// </summary>
/// <param name="ranks">The ranks that end together.</param>
/// <param name="requested">The caller's.</param>
internal sealed class CancellationCallback(RankGroups ranks, CancellationToken requested) : IRunCallback, IDisposable
{
    private readonly CancellationTokenSource _stop = CancellationTokenSource.CreateLinkedTokenSource(requested);
    private OperationCanceledException? _byListener;

    /// <summary>Cancelled by the caller or by a listener.</summary>
    public CancellationToken Token => _stop.Token;

    public void BeforeStep(RunProgress run) => ranks.ThrowIfAnyCancelled(Token);

    /// <summary>Reports to a listener, on the first rank alone.</summary>
    public void Report<T>(IProgress<T>? listener, T record)
    {
        if (!ranks.IsFirst) return;
        try
        {
            listener?.Report(record);
        }
        catch (OperationCanceledException e)
        {
            _byListener = e;
            _stop.Cancel();
        }
    }

    /// <summary>Throws what a listener threw, or a cancellation that carries the caller's token.</summary>
    /// <exception cref="OperationCanceledException">Always.</exception>
    public void Throw(OperationCanceledException cause)
    {
        if (_byListener is not null) ExceptionDispatchInfo.Throw(_byListener);
        throw new OperationCanceledException(cause.Message, cause, requested);
    }

    public void Dispose() => _stop.Dispose();
}
