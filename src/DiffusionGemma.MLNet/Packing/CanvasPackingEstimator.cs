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
}
