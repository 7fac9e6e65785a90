namespace DiffusionGemma;

/// <summary>One token of a row as training would see it.</summary>
/// <param name="Id">The token's id.</param>
/// <param name="Piece">The token's text, with ▁ as a space; a byte that is no character by itself is written <c>&lt;0xF0&gt;</c>.</param>
/// <param name="Part">The part of the row that the token belongs to.</param>
/// <param name="IsSupervised">True where training predicts it.</param>
/// <param name="Canvas">Its canvas, counted from 0; null outside the canvases.</param>
public sealed record ChatPreviewToken(int Id, string Piece, ChatPart Part, bool IsSupervised, int? Canvas);
