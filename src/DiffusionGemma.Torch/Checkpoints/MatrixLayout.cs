namespace DiffusionGemma;

/// <summary>The tensors of a file that one quantised matrix is stored in.</summary>
/// <param name="Module">The module's name, without `.weight`.</param>
/// <param name="Elements">The form of its elements.</param>
/// <param name="Columns">Elements of a row.</param>
/// <param name="Codes">The name of the elements' tensor.</param>
internal sealed record MatrixLayout(string Module, ElementFormat Elements, long Columns, string Codes)
{
    /// <summary>The expert whose part of every tensor it is; null: the tensors are this matrix's alone.</summary>
    public int? Expert { get; init; }

    public ScaleFormat ScaleFormat { get; init; }

    /// <summary>The name of the scales' tensor; null: none.</summary>
    public string? Scales { get; init; }

    /// <summary>The name of the packed zero points' tensor; null: none.</summary>
    public string? ZeroPoints { get; init; }

    /// <summary>The name of the second scale's tensor; null: none.</summary>
    public string? GlobalScale { get; init; }

    public bool GlobalDivides { get; init; }

    /// <summary>Names of all that belong to it, those too that are not used.</summary>
    public required IReadOnlyList<string> Tensors { get; init; }
}
