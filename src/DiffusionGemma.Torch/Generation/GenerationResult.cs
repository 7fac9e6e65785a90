namespace DiffusionGemma;

/// <summary>Why an answer ended.</summary>
public enum FinishReason
{
    /// <summary>An end token.</summary>
    End,

    /// <summary>The most canvases were filled.</summary>
    Length,
}

/// <summary>One prompt's answer.</summary>
/// <param name="Ids">New tokens, up to and with the first end token.</param>
/// <param name="Steps">Decoder passes of this row while it was unfinished.</param>
/// <param name="TokensPerForward">New tokens that are not padding, over <paramref name="Steps"/>.</param>
/// <param name="Finish">Why it ended.</param>
public sealed record GenerationResult(int[] Ids, int Steps, double TokensPerForward, FinishReason Finish);

/// <summary>The batch after one decoder pass.</summary>
/// <param name="Canvas">Which canvas, from 0.</param>
/// <param name="Step">Which pass over it, from 0.</param>
/// <param name="Drafts">[row][C]: the most likely tokens so far; what is appended when the canvas is finished.</param>
/// <param name="Accepted">[row][C]: positions whose sampled token the sampler accepted in this step.</param>
/// <param name="MeanEntropies">[row]: mean entropy of the row's distributions, in nats.</param>
/// <param name="Finished">[row]: the row is done with this canvas; its draft no longer changes.</param>
public sealed record DenoisingStep(
    int Canvas, int Step, IReadOnlyList<int[]> Drafts, IReadOnlyList<bool[]> Accepted, IReadOnlyList<double> MeanEntropies, IReadOnlyList<bool> Finished);
