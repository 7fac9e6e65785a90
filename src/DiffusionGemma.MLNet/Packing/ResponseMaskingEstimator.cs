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
    internal ResponseMaskingEstimator(IHostEnvironment environment, Options options)
        : base(environment.Register(nameof(ResponseMaskingEstimator)),
            new ResponseMaskingTransformer(environment, options))
    {
    }

    /// <inheritdoc/>
    public override SchemaShape GetOutputSchema(SchemaShape inputSchema)
    {
        ArgumentNullException.ThrowIfNull(inputSchema);
        Transformer.Input.CheckIn(inputSchema, Host);
        return TypedColumn.Add(inputSchema, Transformer.Outputs);
    }

    /// <summary>Settings of the step.</summary>
    public sealed class Options
    {
        /// <summary>Vector of bool, as long as the input: true for the last turn's tokens. Default: "LossMask".</summary>
        public string OutputColumnName { get; set; } = ChatColumns.LossMask;

        /// <summary>Int: the tokens before the last turn. Default: "PromptLength".</summary>
        public string PromptLengthColumnName { get; set; } = ChatColumns.PromptLength;

        /// <summary>Vector of bool: true for the assistant's tokens, in every turn. Default: "AssistantMask".</summary>
        public string InputColumnName { get; set; } = ChatColumns.AssistantMask;

        internal void Validate() => OptionChecks.All(
            () => ArgumentException.ThrowIfNullOrEmpty(OutputColumnName),
            () => ArgumentException.ThrowIfNullOrEmpty(PromptLengthColumnName),
            () => ArgumentException.ThrowIfNullOrEmpty(InputColumnName));
    }
}
