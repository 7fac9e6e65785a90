using static TorchSharp.torch;

namespace DiffusionGemma;

/// <summary>The evaluation with the lowest diffusion loss so far, and its weights.</summary>
internal sealed class BestWeights(EvaluationOptions? options, AdamW optimizer) : IDisposable
{
    private double _lowest = double.PositiveInfinity;
    private int _sinceLowest;

    /// <summary>
    /// This rank's part of those weights, on the CPU, in the optimiser's order; empty where they are not kept or there was no evaluation.
    /// </summary>
    public IReadOnlyList<Tensor> Copies { get; private set; } = [];

    /// <summary>True after <see cref="EvaluationOptions.Patience"/> evaluations without a lower loss.</summary>
    public bool IsPatienceExhausted => options is not null && _sinceLowest >= (options.Patience ?? int.MaxValue);

    /// <summary>Adds an evaluation of the current weights.</summary>
    public void Add(EvaluationRecord record)
    {
        if (Count(record) && options!.KeepBest) Copy();
    }

    /// <summary>Continues after the evaluations of a resumed run.</summary>
    /// <param name="evaluations">In their order.</param>
    /// <param name="copies">The weights of the best of them; this object's from now on.</param>
    public void Resume(IEnumerable<EvaluationRecord> evaluations, IReadOnlyList<Tensor> copies)
    {
        foreach (EvaluationRecord record in evaluations) Count(record);
        Copies = copies;
    }

    /// <summary>Puts the best weights back into the model, where they were kept. A collective.</summary>
    public void Restore()
    {
        if (Copies.Count == 0) return;
        using IDisposable quiet = no_grad();
        using var scope = NewDisposeScope();
        foreach ((Tensor copy, OptimizerSlice own) in Copies.Zip(optimizer.State())) own.Master.copy_(copy);
        optimizer.Publish();
    }

    public void Dispose()
    {
        foreach (Tensor copy in Copies) copy.Dispose();
    }

    private bool Count(EvaluationRecord record)
    {
        bool lowest = record.DiffusionLoss < _lowest;
        (_lowest, _sinceLowest) = lowest ? (record.DiffusionLoss, 0) : (_lowest, _sinceLowest + 1);
        return lowest;
    }

    private void Copy()
    {
        using IDisposable quiet = no_grad();
        using var scope = NewDisposeScope();
        Tensor[] copies = [.. optimizer.State().Select(s => s.Master.cpu().clone().DetachFromDisposeScope())];
        Dispose();
        Copies = copies;
    }
}
