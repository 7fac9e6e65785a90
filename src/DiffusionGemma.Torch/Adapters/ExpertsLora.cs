namespace DiffusionGemma;

/// <summary>The deltas of a layer's two expert stacks in one pass; either may be absent.</summary>
internal sealed record ExpertsLora(ExpertStackLora? GateUp, ExpertStackLora? Down)
{
    /// <summary>Returns true where the deltas have the shapes of these stacks.</summary>
    public bool Fits(StoredWeight gateUp, StoredWeight down) => (GateUp?.Fits(gateUp) ?? true) && (Down?.Fits(down) ?? true);
}
