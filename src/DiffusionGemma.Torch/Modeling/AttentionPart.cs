namespace DiffusionGemma;

/// <summary>Queries of neighbouring rows that see the same keys' places, and are attended in one call.</summary>
/// <param name="FirstRow">The first row.</param>
/// <param name="Rows">The number of rows.</param>
/// <param name="FirstQuery">The first query of each row.</param>
/// <param name="Queries">Queries of each row.</param>
/// <param name="FirstKey">The first key of each row.</param>
/// <param name="Keys">Keys of each row.</param>
internal readonly record struct AttentionPart(long FirstRow, long Rows, long FirstQuery, long Queries, long FirstKey, long Keys);
