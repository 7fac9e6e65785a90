namespace DiffusionGemma.Benchmarks;

/// <summary>
/// Operations and bytes of memory of a step, for <see cref="StepSimulation"/>: what grows with rows, what every pass costs whatever its
/// rows, and what a step costs.
/// </summary>
internal sealed record StepWork
{
    private double _ownFlops, _expertFlops, _firstOwnFlops, _firstExpertFlops, _ownBytes, _expertBytes, _firstOwnBytes, _firstExpertBytes;
    private double _stepBytes, _passBytes, _passExpertBytes, _firstBytes, _firstPassExpertBytes, _first;

    /// <summary>Floating-point operations, as <see cref="TrainingPlan.StepFlops"/> counts them.</summary>
    public double Flops(RowLoad load) =>
        load.Own * _ownFlops + load.Experts * _expertFlops + load.FirstOwn * _firstOwnFlops + load.FirstExperts * _firstExpertFlops;

    /// <summary>Bytes that grow with rows.</summary>
    public double Bytes(RowLoad load) =>
        load.Own * _ownBytes + load.Experts * _expertBytes + load.FirstOwn * _firstOwnBytes + load.FirstExperts * _firstExpertBytes;

    /// <summary>
    /// Bytes that one of the places that work at the same time moves whatever the rows: optimiser steps, and of every round weights that
    /// are read and gradients that add up.
    /// </summary>
    public double PassBytes(IReadOnlyList<int[][]> rounds, int owners, int places)
    {
        double bytes = 0;
        foreach (int[][] round in rounds)
        {
            int[] rows = [.. round.Select(r => r.Length)], sets = [.. rows.Chunk(owners).Select(set => set.Sum())];
            double turns = Math.Max(1, (double)rows.Count(r => r > 0) / places),
                turnsOfSets = Math.Max(1, (double)sets.Count(s => s > 0) * owners / places);
            bytes += turns * (_passBytes + _firstBytes * (1 - Math.Pow(1 - _first, rows.Max())))
                + turnsOfSets * (_passExpertBytes + _firstPassExpertBytes * (1 - Math.Pow(1 - _first, sets.Max())));
        }
        return bytes + _stepBytes * rounds[0].Length / places;
    }

    /// <param name="config">The checkpoint's configuration.</param>
    /// <param name="options">How to train.</param>
    /// <param name="compute">Bytes of a number in the passes.</param>
    /// <param name="rowTokens">Tokens of a row.</param>
    /// <param name="devices">Devices.</param>
    /// <param name="owners">Devices that own one set of the experts between them.</param>
    public static StepWork Count(DiffusionGemmaConfig config, FineTuneOptions options, long compute, int rowTokens, int devices, int owners)
    {
        var shapes = CheckpointLayout.Expected(config).ToDictionary(s => s.Key, s => s.Value.Aggregate(1L, (a, b) => a * b));
        double table = shapes[CheckpointLayout.Embedding],
            stacks = shapes.Where(s => DiffusionGemmaModel.IsStack(s.Key)).Sum(s => s.Value), dense = shapes.Values.Sum() - stacks - table;
        double active = stacks * config.TopKExperts / config.NumExperts, canvas = config.CanvasLength, tokens = rowTokens + canvas;
        bool isFull = options.Lora is null;
        double wide = Math.Max(compute, 4), again = options.Run.ActivationCheckpointing ? 1 : 0, uses = 1 + (isFull ? 2 : 1) + again;
        (double hidden, double vocabulary, double layers) = (config.HiddenSize, config.VocabularySize, config.NumHiddenLayers);

        // sorted by expert on arrival, and back
        double pairNumbers = 3.0 * config.TopKExperts * config.MoeIntermediateSize + (owners > 1 ? 2 * config.TopKExperts * hidden : 0);
        double ownNumbers = 9 * hidden + 3.0 * config.IntermediateSize + 2 * config.TopKExperts * hidden
            + Enumerable.Range(0, config.NumHiddenLayers)
                .Average(n => 4.0 * config.Layer(n).HeadDim * (config.NumAttentionHeads + config.Layer(n).KeyValueHeads));
        double moves = 6 + 2 * again, firstMoves = 2;
        // Of logits: cap, softmax and their gradients. Of a first pass' logits: cap and softmax, and what the table's mean is taken with.
        double headBytes = vocabulary * (15 * wide + 2 * compute), firstHeadBytes = vocabulary * (10 * wide + 3 * compute);

        (long Numbers, bool IsExperts)[] trained = [.. StepTraffic.Trained(config, options)];
        double trainedStacks = trained.Where(p => p.IsExperts).Sum(p => p.Numbers),
            trainedRest = trained.Where(p => !p.IsExperts).Sum(p => p.Numbers);
        double held = trainedStacks / owners + trainedRest, share = (trainedStacks + trainedRest) / devices;
        // AdamW reads gradient, master and moments and writes the last three; the norm reads the gradient; gradients are zeroed, and new
        // weights copied.
        double step = 8 * wide * share + held * (wide + (devices > 1 || isFull && compute < wide ? 2 * (isFull ? compute : wide) : 0));
        // A gradient in the compute dtype is made first where the buffer is wider.
        double adding = 2 * wide + (compute < wide ? 2 * compute : 0), reads = (2 + again) * compute;
        double chunk = HeadLoss.Chunk(config.VocabularySize), chunks = Math.Ceiling(canvas / chunk) + Math.Ceiling((rowTokens - 1) / chunk);
        double tableTrained = isFull ? table : 0;
        return new StepWork
        {
            _ownFlops = 2 * dense * tokens * uses + 2 * table * tokens * (uses - again),
            _expertFlops = 2 * active * tokens * uses,
            _firstOwnFlops = 2 * dense * canvas + 4 * table * canvas,
            _firstExpertFlops = 2 * active * canvas,
            // The head goes through a row in chunks, each with the table (twice) and the table's gradient.
            _ownBytes = layers * tokens * ownNumbers * moves * compute + tokens * headBytes
                + chunks * (2 * table * compute + tableTrained * adding),
            _expertBytes = layers * tokens * pairNumbers * moves * compute,
            _firstOwnBytes = layers * canvas * ownNumbers * firstMoves * compute + canvas * firstHeadBytes,
            _firstExpertBytes = layers * canvas * pairNumbers * firstMoves * compute,
            _stepBytes = step,
            _passBytes = 2 * (dense * reads + (trainedRest - tableTrained) * adding),
            _passExpertBytes = 2 * (stacks * reads + trainedStacks * adding) / owners,
            _firstBytes = (dense + 2 * table) * compute,
            _firstPassExpertBytes = stacks / owners * compute,
            _first = options.Objective.SelfConditioningProbability,
        };
    }
}
