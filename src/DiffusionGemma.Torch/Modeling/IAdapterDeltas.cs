namespace DiffusionGemma;

/// <summary>Low-rank deltas of one adapter, by the modules that add them.</summary>
internal interface IAdapterDeltas
{
    /// <summary>Returns a projection's delta in a pass; null: it has none.</summary>
    /// <param name="name">The projection's name in the checkpoint.</param>
    /// <param name="pass">The pass.</param>
    LoraPair? OfProjection(string name, Pass pass);

    /// <summary>Returns the deltas of a layer's expert stacks in a pass; null: they have none.</summary>
    /// <param name="name">The stacks' common name in the checkpoint.</param>
    /// <param name="pass">The pass.</param>
    ExpertsLora? OfExperts(string name, Pass pass);

    /// <summary>Lists the deltas of all projections and expert stacks, of both passes.</summary>
    IEnumerable<object> List();
}
