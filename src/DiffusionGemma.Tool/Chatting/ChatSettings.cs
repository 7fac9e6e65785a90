namespace DiffusionGemma;

/// <summary>The settings of a conversation.</summary>
/// <param name="System">Instructions; null: none.</param>
/// <param name="Seed">Seed of the draws.</param>
/// <param name="Temperature">Null: the model's schedule.</param>
/// <param name="MaxNewTokens">Null: the model's.</param>
/// <param name="Pause">Milliseconds to look at each draft: a small model is done before anything is seen.</param>
internal sealed record ChatSettings(string? System, long Seed, float? Temperature, int? MaxNewTokens, int Pause);
