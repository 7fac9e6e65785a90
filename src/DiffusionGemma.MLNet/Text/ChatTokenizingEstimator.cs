using Microsoft.ML;
using Microsoft.ML.Data;
using Microsoft.ML.Runtime;

namespace DiffusionGemma;

/// <summary>
/// Renders conversations with the checkpoint's own chat template and tokenizes them.
/// <code>
/// Messages        [{"role":"user","content":"2+2?"},{"role":"assistant","content":"4"}]
/// InputIds        &lt;bos&gt; &lt;|turn&gt; user ⏎ 2 + 2 ? &lt;turn|&gt; ⏎ &lt;|turn&gt; model ⏎  4 &lt;turn|&gt; ⏎
/// AssistantMask     .     .    .   . . . . .    .    .    .      .   .  #    #    #
/// </code>
/// A conversation whose last message is not the assistant's ends in the prompt for an answer, and its mask is empty.
/// </summary>
public sealed class ChatTokenizingEstimator : TrivialEstimator<ChatTokenizingTransformer>
{
    internal ChatTokenizingEstimator(IHostEnvironment environment, ChatTokenizingTransformer transformer)
        : base(environment.Register(nameof(ChatTokenizingEstimator)), transformer)
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
