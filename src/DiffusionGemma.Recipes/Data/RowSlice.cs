namespace DiffusionGemma;

/// <summary>A part of the rows, as in <c>train[100:200]</c>.</summary>
/// <param name="First">The first row, from 0.</param>
/// <param name="End">The row behind the last; null: to the end.</param>
internal readonly record struct RowSlice(long First, long? End);
