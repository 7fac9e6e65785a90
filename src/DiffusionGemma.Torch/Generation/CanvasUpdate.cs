namespace DiffusionGemma;

/// <summary>A canvas is finished: its tokens are part of the answer and never change.</summary>
/// <param name="Canvas">Which canvas, from 0.</param>
/// <param name="Ids">Its tokens, cut after an end token and at the most tokens allowed.</param>
/// <param name="Steps">Decoder passes that it took.</param>
public sealed record CanvasUpdate(int Canvas, int[] Ids, int Steps) : GenerationUpdate;
