namespace DiffusionGemma;

/// <summary>The logits [V] of one position of a canvas.</summary>
internal delegate ReadOnlySpan<T> LogitsOf<T>(int position);
