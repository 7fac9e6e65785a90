namespace DiffusionGemma;

/// <summary>
/// State of one pass through the model: travels through every Forward, and each autograd function captures it for its backward.
/// </summary>
/// <param name="Pass">The pass, which selects layer scalars and adapter values.</param>
internal sealed record PassContext(Pass Pass)
{
    /// <summary>Tensors that the gradients of trained parameters are added to.</summary>
    public GradientSink Gradients { get; init; } = new([]);

    /// <summary>The backward through this pass; passes that one backward runs through share it.</summary>
    public BackwardPass Backward { get; init; } = new();

    /// <summary>
    /// True where this rank has no tokens of its own and only takes part in the other ranks' pass (<see cref="ExpertExchange"/>): no token
    /// is routed.
    /// </summary>
    public bool IsIdle { get; init; }

    /// <summary>
    /// True to keep a layer's input in place of its activations, and to compute these again in the backward (<see
    /// cref="LayerCheckpoint"/>).
    /// </summary>
    public bool RecomputesActivations { get; init; }

    /// <summary>
    /// True where a row's result must not depend on the rows beside it, as in denoising; products are then not chosen by their number of
    /// rows.
    /// </summary>
    public bool IsBatchInvariant { get; init; } = true;

    /// <summary>
    /// The adapters of the batch's rows, in place of what the modules themselves hold, in a pass without gradients and padding masks; null:
    /// the modules' own.
    /// </summary>
    public RowAdapters? Adapters { get; init; }

    /// <summary>
    /// Deltas of adapters as products read them, in passes without gradients over weights that stay as they are; null: made at each use.
    /// </summary>
    public PreparedDeltas? Prepared { get; init; }

    /// <summary>Draws of the dropout on inputs of low-rank pairs; null: no dropout.</summary>
    public DropoutStream? Dropout { get; init; }
}
