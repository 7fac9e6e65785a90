namespace DiffusionGemma;

/// <summary>Tokens of a global batch, over all micro-batches and ranks: the denominators of its losses.</summary>
/// <param name="Scored">Supervised positions of the drawn canvases.</param>
/// <param name="Pairs">Tokens that are followed by another of their row.</param>
/// <param name="Tokens">Tokens of the rows (prompt, response, fill).</param>
internal readonly record struct TokenCounts(long Scored, long Pairs, long Tokens)
{
    public static TokenCounts Count(PreparedStep batch, int canvasLength)
    {
        long scored = 0, pairs = 0, tokens = 0;
        foreach ((TrainingExample example, ExampleDraw draw) in batch.Examples.Zip(batch.Draws))
        {
            int start = example.PrefixLength + draw.Block * canvasLength;
            scored += example.LossMask.Skip(start).Take(canvasLength).Count(supervised => supervised);
            pairs += example.InputIds.Length - 1;
            tokens += example.InputIds.Length;
        }
        return new TokenCounts(scored, pairs, tokens);
    }
}
