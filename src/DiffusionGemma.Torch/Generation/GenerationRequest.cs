namespace DiffusionGemma;

/// <summary>A prompt to answer, with optional knowledge about its answer.</summary>
/// <remarks>
/// Positions count from the answer's first token. Denoising starts from a draft; a pinned token never changes:
/// <code>
/// Draft    8 9 7 .          canvas 0 starts   8 9 3 r      r: uniformly random
/// Pinned   2 -> 3           and ends          8 4 3 1      3 is pinned
/// </code>
/// </remarks>
/// <param name="Prompt">Token ids, generation prompt included; not empty.</param>
public sealed record GenerationRequest(int[] Prompt)
{
    /// <summary>Options of this prompt; where null, the caller's options for all prompts apply, then the checkpoint folder's.</summary>
    public GenerationOptions? Options { get; init; }

    /// <summary>Tokens that canvases start from instead of random ones, from the answer's first; later positions start random.</summary>
    public IReadOnlyList<int>? Draft { get; init; }

    /// <summary>
    /// Fixed tokens by their position in the answer. An end token before the last of them does not end the answer.
    /// </summary>
    public IReadOnlyDictionary<int, int>? Pinned { get; init; }

    /// <summary>
    /// The adapter that the prompt is answered with: any that is loaded for the model, whatever other rows of the batch have. Null: the
    /// model's own <see cref="DiffusionGemmaModel.Adapter"/>; <see cref="LoraAdapter.None"/>: the base model alone. It may be disposed as
    /// soon as the request is made: the deltas are kept until the answer ends.
    /// </summary>
    public LoraAdapter? Adapter { get; init; }

    /// <summary>
    /// The number of the prompt's first tokens that other prompts begin with too (a system turn): they are encoded once for all. 0:
    /// unknown; the common beginning of prompts of one call is found without it.
    /// </summary>
    public int SharedPrefixLength { get; init; }
}
