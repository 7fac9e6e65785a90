namespace DiffusionGemma;

/// <summary>A request for a checkpoint between those that are due.</summary>
public sealed class CheckpointRequest
{
    private int _asked;

    /// <summary>Asks; the run answers after its current step.</summary>
    public void Make() => Interlocked.Exchange(ref _asked, 1);

    internal bool Take() => Interlocked.Exchange(ref _asked, 0) == 1;
}
