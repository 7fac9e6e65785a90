namespace DiffusionGemma;

/// <summary>Default names of the columns of a DiffusionGemma pipeline.</summary>
public static class ChatColumns
{
    /// <summary>
    /// Text: a conversation as JSON, the messages array or an object with <c>messages</c> and what else the chat template takes.
    /// </summary>
    public const string Messages = "Messages";

    /// <summary>Vector of int, of variable length: token ids.</summary>
    public const string InputIds = "InputIds";

    /// <summary>Vector of bool, as long as <see cref="InputIds"/>: true for the tokens of every assistant turn.</summary>
    public const string AssistantMask = "AssistantMask";

    /// <summary>
    /// Vector of text, of variable length: what training would miss in the row or leave it out for, such as <c>empty answer</c> or
    /// <c>ignored key: weight</c>.
    /// </summary>
    public const string RowNotes = "RowNotes";

    /// <summary>Vector of bool, as long as <see cref="InputIds"/>: true for the tokens that training learns to write.</summary>
    public const string LossMask = "LossMask";

    /// <summary>Int: the number of tokens before the response.</summary>
    public const string PromptLength = "PromptLength";

    /// <summary>Int: the canvases that the packed response fills; 0 where there is nothing to train on.</summary>
    public const string CanvasCount = "CanvasCount";

    /// <summary>Int: the packed length with padding, in tokens; 0 where there is nothing to train on.</summary>
    public const string PaddedLength = "PaddedLength";

    /// <summary>Int: response tokens that packing cut off.</summary>
    public const string CutTokens = "CutTokens";

    /// <summary>Text: the model's answer, without its thoughts and tool calls.</summary>
    public const string Response = "Response";

    /// <summary>Text: the model's thoughts; empty where it has none.</summary>
    public const string Reasoning = "Reasoning";

    /// <summary>
    /// Text: the answer's tool calls as JSON in OpenAI's form,
    /// <c>[{"type":"function","function":{"name":"add","arguments":{"a":1}}}]</c>; empty where there are none.
    /// </summary>
    public const string ToolCalls = "ToolCalls";

    /// <summary>Vector of int, of variable length: the answer's token ids.</summary>
    public const string ResponseIds = "ResponseIds";

    /// <summary>Single: tokens of the answer for each pass of the decoder.</summary>
    public const string TokensPerForward = "TokensPerForward";

    /// <summary>Int: passes of the decoder that the answer took.</summary>
    public const string Steps = "Steps";

    /// <summary>Text: the reason why a row has no answer, empty where it has one; only with <see cref="RowFailure.EmptyAnswer"/>.</summary>
    public const string ResponseError = "ResponseError";
}
