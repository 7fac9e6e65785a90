namespace DiffusionGemma.Samples;

internal sealed record QuestionAnswer(string Question, string Answer);
