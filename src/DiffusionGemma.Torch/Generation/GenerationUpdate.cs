namespace DiffusionGemma;

/// <summary>What happened to one answer; a stream of them ends with <see cref="CompletedUpdate"/>.</summary>
public abstract record GenerationUpdate;

/// <summary>A denoising step: what the canvas would say if it were finished now.</summary>
/// <param name="Canvas">Which canvas, from 0.</param>
/// <param name="Step">Which pass over it, from 0.</param>
/// <param name="Draft">[C]: the most likely tokens so far.</param>
/// <param name="Settled">[C]: positions that the sampler accepted in this step, or has committed.</param>
/// <param name="MeanEntropy">Of the distributions of the canvas' free positions, in nats.</param>
public sealed record DraftUpdate(int Canvas, int Step, int[] Draft, bool[] Settled, double MeanEntropy) : GenerationUpdate;

/// <summary>A canvas is finished: its tokens are part of the answer and never change.</summary>
/// <param name="Canvas">Which canvas, from 0.</param>
/// <param name="Ids">Its tokens, cut after an end token and at the most tokens allowed.</param>
/// <param name="Steps">Decoder passes that it took.</param>
public sealed record CanvasUpdate(int Canvas, int[] Ids, int Steps) : GenerationUpdate;

/// <summary>The answer is complete.</summary>
/// <param name="Result">All of it.</param>
public sealed record CompletedUpdate(GenerationResult Result) : GenerationUpdate;
