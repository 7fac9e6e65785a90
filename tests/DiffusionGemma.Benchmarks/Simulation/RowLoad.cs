namespace DiffusionGemma.Benchmarks;

/// <summary>Per-worker load of one step, in rows.</summary>
/// <param name="Own">Rows whose attention, dense layers and head it computes.</param>
/// <param name="Experts">Pairs of token and expert, in rows' worth.</param>
/// <param name="FirstOwn">First passes.</param>
/// <param name="FirstExperts">Pairs of first passes, in rows' worth.</param>
internal readonly record struct RowLoad(double Own, double Experts, double FirstOwn, double FirstExperts)
{
    /// <summary>The load where all have equally much to do.</summary>
    public static RowLoad Even(FineTuneOptions options, int places)
    {
        double rows = (double)options.GlobalBatchSize / places, first = rows * options.Objective.SelfConditioningProbability;
        return new RowLoad(rows, rows, first, first);
    }

    /// <summary>
    /// The load of the busiest worker, round by round: its own rows, and the pairs of the busiest set of experts. Ranks take turns where
    /// they outnumber the workers.
    /// <code>
    /// 4 rows, a row each 2 ranks [a b] [c d] of two rows that each make a first pass with 1/2, the most is 3/4 on average, twice: 1.5 and
    /// not 1
    /// </code>
    /// </summary>
    public static RowLoad Busiest(IReadOnlyList<int[][]> rounds, int owners, int places, double first)
    {
        (double own, double experts, double firstOwn, double firstExperts) = (0, 0, 0, 0);
        foreach (int[][] round in rounds)
        {
            int[] rows = [.. round.Select(r => r.Length)], sets = [.. rows.Chunk(owners).Select(set => set.Sum())];
            double share = (double)rows.Sum() / places;
            own += Math.Max(rows.Max(), share);
            experts += Math.Max((double)sets.Max() / owners, share);
            int busy = Math.Min(places, rows.Count(r => r > 0));
            firstOwn += Math.Max(ExpectedMost(busy, (rows.Sum() + busy - 1) / busy, first), share * first);
            firstExperts += Math.Max(ExpectedMost(sets.Count(s => s > 0), sets.Max(), first) / owners, share * first);
        }
        return new RowLoad(own, experts, firstOwn, firstExperts);
    }

    /// <summary>The mean of the largest of several binomial numbers: Σ_k 1 - P(at most k)^places.</summary>
    internal static double ExpectedMost(int places, int rows, double probability)
    {
        // of many rows the most is close to the mean
        if (probability is 0 or 1 || rows > 256) return rows * probability;
        double most = 0, below = 0, exactly = Math.Pow(1 - probability, rows);
        for (int k = 0; k < rows; k++)
        {
            below += exactly;
            most += 1 - Math.Pow(Math.Min(below, 1), places);
            exactly *= (double)(rows - k) / (k + 1) * probability / (1 - probability);
        }
        return most;
    }
}
