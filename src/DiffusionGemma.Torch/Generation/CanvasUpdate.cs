namespace DiffusionGemma;

/// <summary>A finished canvas: its tokens are part of the answer and never change.</summary>
/// <param name="Canvas">Number of the canvas, from 0.</param>
/// <param name="Ids">Its tokens, cut after an end token and at the most tokens allowed.</param>
/// <param name="Steps">Decoder passes over it.</param>
public sealed record CanvasUpdate(int Canvas, int[] Ids, int Steps) : GenerationUpdate;
