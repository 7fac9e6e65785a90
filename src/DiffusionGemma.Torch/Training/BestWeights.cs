using TorchSharp;
using static TorchSharp.torch;

namespace DiffusionGemma;

/// <summary>Remembers the evaluation with the lowest diffusion loss, and the weights it was made with.</summary>
internal sealed class BestWeights(EvaluationOptions? options, AdamW optimizer) : IDisposable
{
    private Tensor[] _copies = [];
    private double _lowest = double.PositiveInfinity;
    private int _sinceLowest;

    /// <summary>Takes note of an evaluation; true: the run has waited long enough for a lower loss.</summary>
    public bool Stop(EvaluationRecord record)
    {
        if (record.DiffusionLoss < _lowest)
        {
            (_lowest, _sinceLowest) = (record.DiffusionLoss, 0);
            if (options!.KeepBest) Copy();
            return false;
        }
        return ++_sinceLowest >= (options!.Patience ?? int.MaxValue);
    }

    /// <summary>Puts the best weights back, where they were to be kept.</summary>
    public void Restore()
    {
        if (_copies.Length == 0) return;
        using IDisposable quiet = no_grad();
        using var scope = NewDisposeScope();
        foreach ((Tensor copy, (Tensor master, _, _)) in _copies.Zip(optimizer.State())) master.copy_(copy);
        optimizer.Publish();
    }

    public void Dispose()
    {
        foreach (Tensor copy in _copies) copy.Dispose();
    }

    private void Copy()
    {
        using IDisposable quiet = no_grad();
        using var scope = NewDisposeScope();
        Tensor[] copies = [.. optimizer.State().Select(s => s.Master.cpu().clone().DetachFromDisposeScope())];
        Dispose();
        _copies = copies;
    }
}
