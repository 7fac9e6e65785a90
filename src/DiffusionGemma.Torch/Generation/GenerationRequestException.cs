namespace DiffusionGemma;

/// <summary>A request that the model cannot answer, because its prompt, draft or pinned tokens do not fit.</summary>
public sealed class GenerationRequestException : ArgumentException
{
    internal GenerationRequestException(int index, string reason)
        : base($"Prompt {index} {reason}", "prompts")
    {
        Index = index;
        Reason = reason;
    }

    /// <summary>The request's index in the call, counted from 0.</summary>
    public int Index { get; }

    /// <summary>The fault, as a sentence that follows "the prompt".</summary>
    public string Reason { get; }
}
