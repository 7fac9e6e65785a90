namespace DiffusionGemma;

/// <summary>One row's answer as the journal and the output have it.</summary>
/// <param name="Row">Which row of the input, from 0.</param>
/// <param name="Response">Empty where the row could not be answered.</param>
/// <param name="TokensPerForward">Tokens for each pass of the decoder.</param>
/// <param name="Steps">Passes of the decoder.</param>
/// <param name="Error">Why it could not be answered; empty where it was.</param>
internal sealed record AnsweredRow(long Row, string Response, float TokensPerForward, int Steps, string Error);
