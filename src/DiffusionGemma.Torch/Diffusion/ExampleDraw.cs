namespace DiffusionGemma;

/// <summary>All random draws of one example in one step.</summary>
/// <param name="CorruptedIds">[L]: supervised positions replaced with probability t, one t an example, by uniform tokens.</param>
/// <param name="Block">The scored canvas of the response, from 0.</param>
/// <param name="SelfConditioned">True to condition the scored pass on a first one.</param>
internal sealed record ExampleDraw(int[] CorruptedIds, int Block, bool SelfConditioned);
