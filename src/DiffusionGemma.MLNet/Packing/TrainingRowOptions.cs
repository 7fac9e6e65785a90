namespace DiffusionGemma;

/// <summary>Settings for reading packed rows from a data view, once, before training.</summary>
public sealed record TrainingRowOptions
{
    /// <summary>
    /// Most bytes of rows kept in memory; when there are more, all go to a temporary file (<see cref="PackedRowStore"/>). Default: 1 GiB.
    /// </summary>
    public long MaxRowBytesInMemory { get; init; } = PackedRowStore.DefaultMaxBytes;

    /// <summary>Folder of that file; null: the system's folder for temporary files.</summary>
    public string? ScratchFolder { get; init; }

    /// <summary>Vector of int: token ids. Default: "InputIds".</summary>
    public string InputIdsColumnName { get; init; } = ChatColumns.InputIds;

    /// <summary>Vector of bool, as long: true for the tokens that training predicts. Default: "LossMask".</summary>
    public string LossMaskColumnName { get; init; } = ChatColumns.LossMask;

    /// <summary>Int: the tokens before the response. Default: "PromptLength".</summary>
    public string PromptLengthColumnName { get; init; } = ChatColumns.PromptLength;

    /// <summary>Int: the canvases of the packed response. Default: "CanvasCount".</summary>
    public string CanvasCountColumnName { get; init; } = ChatColumns.CanvasCount;

    /// <summary>Int: the packed length with padding, in tokens. Default: "PaddedLength".</summary>
    public string PaddedLengthColumnName { get; init; } = ChatColumns.PaddedLength;

    /// <summary>Int: the tokens that packing cut off. Default: "CutTokens".</summary>
    public string CutTokensColumnName { get; init; } = ChatColumns.CutTokens;

    /// <summary>Vector of text: what training would miss in the row; may be absent from the data. Default: "RowNotes".</summary>
    public string NotesColumnName { get; init; } = ChatColumns.RowNotes;

    /// <summary>The columns that the data must have.</summary>
    internal IReadOnlyList<TypedColumn> Columns =>
    [
        TypedColumn.Ints(InputIdsColumnName, StepNames.TokenizeChat), TypedColumn.Bools(LossMaskColumnName, StepNames.MaskResponse),
        TypedColumn.Int(PromptLengthColumnName, StepNames.MaskResponse), TypedColumn.Int(CanvasCountColumnName, StepNames.PackCanvas),
        TypedColumn.Int(PaddedLengthColumnName, StepNames.PackCanvas), TypedColumn.Int(CutTokensColumnName, StepNames.PackCanvas),
    ];

    /// <exception cref="ArgumentException">A number is negative, or a column has no name.</exception>
    internal void Validate()
    {
        static void RequireName(string? name, string option)
        {
            if (string.IsNullOrEmpty(name))
                throw new ArgumentException($"{nameof(TrainingRowOptions)}.{option} is empty: it names a column.");
        }
        OptionChecks.All(
            () => ArgumentOutOfRangeException.ThrowIfNegative(
                MaxRowBytesInMemory, $"{nameof(TrainingRowOptions)}.{nameof(MaxRowBytesInMemory)}"),
            () => RequireName(InputIdsColumnName, nameof(InputIdsColumnName)),
            () => RequireName(LossMaskColumnName, nameof(LossMaskColumnName)),
            () => RequireName(PromptLengthColumnName, nameof(PromptLengthColumnName)),
            () => RequireName(CanvasCountColumnName, nameof(CanvasCountColumnName)),
            () => RequireName(PaddedLengthColumnName, nameof(PaddedLengthColumnName)),
            () => RequireName(CutTokensColumnName, nameof(CutTokensColumnName)),
            () => RequireName(NotesColumnName, nameof(NotesColumnName)));
    }
}
