using Microsoft.ML;
using Microsoft.ML.Data;
using Microsoft.ML.Runtime;

namespace DiffusionGemma;

/// <summary>
/// Cuts a row at a maximum length and fills its response with end tokens up to a whole number of canvases, counted from where the response
/// starts.
/// <code>
/// canvas 4        p = prompt, r = response, E = end token
/// before  InputIds  p p p p p r r r r r         LossMask  0 0 0 0 0 1 1 1 1 1
/// after   InputIds  p p p p p r r r r r E E E   LossMask  0 0 0 0 0 1 1 1 1 1 1 1 1
///                            |canvas 0|canvas 1|          CanvasCount 2
/// </code>
/// A row with nothing to train on, because it has no answer or the cut took all of it, keeps its ids uncut (they are a prompt to answer),
/// with an empty LossMask, a CanvasCount and a PaddedLength of 0.
/// </summary>
public sealed class CanvasPackingEstimator : TrivialEstimator<CanvasPackingTransformer>
{
    internal CanvasPackingEstimator(IHostEnvironment environment, CanvasPackingTransformer transformer)
        : base(environment.Register(nameof(CanvasPackingEstimator)), transformer)
    {
    }

    /// <inheritdoc/>
    public override SchemaShape GetOutputSchema(SchemaShape inputSchema)
    {
        ArgumentNullException.ThrowIfNull(inputSchema);
        foreach (TypedColumn input in Transformer.Inputs)
            input.CheckIn(inputSchema, Host);
        return TypedColumn.Add(inputSchema, Transformer.Outputs);
    }

    /// <summary>Settings of the step.</summary>
    public sealed class Options
    {
        /// <summary>The most tokens of a row; more are cut off, and counted in <see cref="CutTokensColumnName"/>. Default: 1024.</summary>
        public int MaxLength { get; set; } = 1024;

        /// <summary>
        /// The padded length is a multiple of this and of the canvas length, where the maximum allows; null: of the canvas length.
        /// </summary>
        public int? PadMultiple { get; set; }

        /// <summary>Treatment of rows whose answer is cut. Default: <see cref="TruncatedRows.Keep"/>.</summary>
        public TruncatedRows Truncated { get; set; } = TruncatedRows.Keep;

        /// <summary>Vector of int, read and replaced: token ids. Default: "InputIds".</summary>
        public string InputIdsColumnName { get; set; } = ChatColumns.InputIds;

        /// <summary>Vector of bool, as long, read and replaced: true for the tokens that training predicts. Default: "LossMask".</summary>
        public string LossMaskColumnName { get; set; } = ChatColumns.LossMask;

        /// <summary>Int: the canvases of the packed response; 0 where there is nothing to train on. Default: "CanvasCount".</summary>
        public string CanvasCountColumnName { get; set; } = ChatColumns.CanvasCount;

        /// <summary>Int: the packed length with padding, in tokens. Default: "PaddedLength".</summary>
        public string PaddedLengthColumnName { get; set; } = ChatColumns.PaddedLength;

        /// <summary>Int: the tokens that were cut off. Default: "CutTokens".</summary>
        public string CutTokensColumnName { get; set; } = ChatColumns.CutTokens;

        internal void Validate() => OptionChecks.All(
            () => ArgumentOutOfRangeException.ThrowIfLessThan(MaxLength, 1, "maxLength"),
            () => ArgumentOutOfRangeException.ThrowIfLessThan(PadMultiple ?? 1, 1, "padMultiple"),
            () =>
            {
                if (!Enum.IsDefined(Truncated)) throw new ArgumentOutOfRangeException("truncated", Truncated, "Must be Keep or Drop.");
            },
            () => ArgumentException.ThrowIfNullOrEmpty(InputIdsColumnName),
            () => ArgumentException.ThrowIfNullOrEmpty(LossMaskColumnName),
            () => ArgumentException.ThrowIfNullOrEmpty(CanvasCountColumnName),
            () => ArgumentException.ThrowIfNullOrEmpty(PaddedLengthColumnName),
            () => ArgumentException.ThrowIfNullOrEmpty(CutTokensColumnName));
    }
}
