using Microsoft.ML;
using Microsoft.ML.Data;
using Microsoft.ML.Runtime;

namespace DiffusionGemma;

/// <summary>
/// Narrows the mask of all assistant turns to the last one, the only turn that training scores, and finds where the prompt ends.
/// <code>
/// tokens         &lt;turn&gt; user … &lt;turn&gt; model  I  see .  &lt;turn&gt; user … &lt;turn&gt; model  It  is  4  .
/// AssistantMask     .     .  .    .      .   #  #  #     .     .  .    .      .    #   #  #  #
/// LossMask          .     .  .    .      .   .  .  .     .     .  .    .      .    #   #  #  #
///                   └────────────── PromptLength = 13 ─────────────────────────┘
/// </code>
/// A row without an answer has an empty LossMask, and PromptLength is its whole length.
/// </summary>
public sealed class ResponseMaskingEstimator : TrivialEstimator<ResponseMaskingTransformer>
{
    internal ResponseMaskingEstimator(IHostEnvironment environment, string assistantMask, string lossMask, string promptLength)
        : base(environment.Register(nameof(ResponseMaskingEstimator)),
            new ResponseMaskingTransformer(environment, assistantMask, lossMask, promptLength))
    {
    }

    /// <inheritdoc/>
    public override SchemaShape GetOutputSchema(SchemaShape inputSchema)
    {
        ArgumentNullException.ThrowIfNull(inputSchema);
        Transformer.Input.CheckIn(inputSchema, Host);
        return TypedColumn.Add(inputSchema, Transformer.Outputs);
    }
}
