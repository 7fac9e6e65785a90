namespace DiffusionGemma;

/// <summary>One prompt to be answered, and what is already known of its answer.</summary>
/// <remarks>
/// Positions count from the answer's first token. A draft is where denoising starts; a pinned token never changes:
/// <code>
/// Draft    8 9 7 .          canvas 0 starts   8 9 3 r      r: uniformly random
/// Pinned   2 -> 3           and ends          8 4 3 1      3 is as given
/// </code>
/// </remarks>
/// <param name="Prompt">Token ids, generation prompt included; not empty.</param>
public sealed record GenerationRequest(int[] Prompt)
{
    /// <summary>How this prompt is answered; null entries, or null: the caller's options for all, then the checkpoint folder's.</summary>
    public GenerationOptions? Options { get; init; }

    /// <summary>Tokens that the canvases start from in place of random ones, from the answer's first; what is beyond them starts random.</summary>
    public IReadOnlyList<int>? Draft { get; init; }

    /// <summary>
    /// Tokens that stand at given positions of the answer whatever the model says. An end token before the last of them does not end the answer.
    /// </summary>
    public IReadOnlyDictionary<int, int>? Pinned { get; init; }

    /// <summary>
    /// How many of the prompt's first tokens other prompts begin with too (a system turn): these are encoded once for all of them. 0: what
    /// prompts that are given together have in common is found without it.
    /// </summary>
    public int SharedPrefixLength { get; init; }
}
