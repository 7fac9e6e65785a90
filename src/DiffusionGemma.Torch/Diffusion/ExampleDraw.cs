namespace DiffusionGemma;

/// <summary>Everything random of one example in one step.</summary>
/// <param name="CorruptedIds">[L]: supervised positions replaced with probability t, one t an example, by uniform tokens.</param>
/// <param name="Block">Which canvas of the response is scored.</param>
/// <param name="SelfConditioned">The coin: condition the scored pass on a first one.</param>
internal sealed record ExampleDraw(int[] CorruptedIds, int Block, bool SelfConditioned);
