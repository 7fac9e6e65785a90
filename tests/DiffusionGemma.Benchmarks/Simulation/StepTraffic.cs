namespace DiffusionGemma.Benchmarks;

/// <summary>
/// Bytes that the collectives of one optimiser step are handed, counted along <see cref="ExpertExchange"/>, <see cref="ParameterBucket"/>,
/// <see cref="TrainingStep"/> and <see cref="TrainingLoop"/>. Handed: what a rank keeps for itself is among them (of n equal parts one), so
/// that the numbers are exact whatever the routing.
/// <code>
/// a layer and pass         forward   counts [E] int64, x [T·K,H], w [T·K] float32, back w y [T·K,H]
///                          backward  w [T·K], dy [T·K,H], x [T·K,H] where experts train, back dw [T·K], dx [T·K,H]
/// a bucket of parameters   reduce-scatter of gradients in float32, all-gather of weights in their own dtype
/// </code>
/// Rows are of one length and of whole canvases, and every layer's experts take part in the backward: with LoRA on later parts than the
/// first layer's attention the first layers' do not, and there is a little less.
/// </summary>
/// <param name="AllToAll">Of all devices together, on average over the draws of self-conditioning.</param>
/// <param name="AllToAllCalls">Of a device that is never without work, on average.</param>
/// <param name="ExpertGradients">Reduce-scatter of the gradients of experts between those who own the same, of one device.</param>
/// <param name="ExpertWeights">All-gather of the same.</param>
/// <param name="OtherGradients">Reduce-scatter of all other gradients, of one device.</param>
/// <param name="OtherWeights">All-gather of the same.</param>
/// <param name="Buckets">Reduce-scatters of one device, and as many all-gathers.</param>
/// <param name="AllReduce">Sums of single numbers, of one device: losses, the norm, and whether anyone was cancelled.</param>
internal sealed record StepTraffic(
    double AllToAll, double AllToAllCalls, long ExpertGradients, long ExpertWeights, long OtherGradients, long OtherWeights, int Buckets,
    long AllReduce)
{
    /// <summary>The losses' sum is of two numbers, all others of one.</summary>
    public long AllReduceCalls => AllReduce == 0 ? 0 : AllReduce / sizeof(double) - 1;

    /// <param name="config">The checkpoint's configuration.</param>
    /// <param name="options">How to train.</param>
    /// <param name="compute">Bytes of a number in the passes.</param>
    /// <param name="rowTokens">Tokens of a row.</param>
    /// <param name="devices">n.</param>
    /// <param name="owners">Devices that own one set of the experts between them.</param>
    public static StepTraffic Count(
        DiffusionGemmaConfig config, FineTuneOptions options, long compute, int rowTokens, int devices, int owners)
    {
        if (devices == 1) return new StepTraffic(0, 0, 0, 0, 0, 0, 0, 0);
        IReadOnlyList<int[][]> rounds = Rounds(options, rowTokens, devices);
        (double allToAll, double calls) = owners == 1 ? (0, 0) : Exchanges(config, options, compute, rowTokens, rounds, owners);

        long wide = Math.Max(compute, 4), weight = options.Lora is null ? compute : wide;
        int replicas = devices / owners, buckets = 0;
        (long Numbers, bool IsExperts)[] trained =
            [.. Trained(config, options).Select(p => (p.IsExperts ? p.Numbers / owners : p.Numbers, p.IsExperts))];
        long experts = 0, others = 0;
        foreach (List<int> bucket in AdamW.Split(trained, devices, replicas))
        {
            bool isExperts = trained[bucket[0]].IsExperts;
            int shares = isExperts ? replicas : devices;
            if (shares == 1) continue;
            buckets++;
            long length = FlatBuffer.Length(bucket.Select(n => trained[n].Numbers), shares);
            if (isExperts) experts += length;
            else others += length;
        }
        // Cancellation is checked before every step and round, requests for checkpoints before every step.
        long sums = 1 + (options.Checkpoints is null ? 0 : 1) + rounds.Count + 2 + 1;
        return new StepTraffic(
            allToAll, calls, experts * wide, experts * weight, others * wide, others * weight, buckets, sums * sizeof(double));
    }

    /// <summary>The micro-batches of ranks that work at the same time, [round][rank].</summary>
    public static IReadOnlyList<int[][]> Rounds(FineTuneOptions options, int rowTokens, int devices) =>
        MicroBatchPlan.Rounds(
            [.. Enumerable.Repeat(rowTokens, options.GlobalBatchSize)], options.Run.MicroBatchSize, options.Run.MicroBatchTokens, devices);

    /// <summary>Numbers of each parameter that trains, whole, in the optimiser's order.</summary>
    public static IEnumerable<(long Numbers, bool IsExperts)> Trained(DiffusionGemmaConfig config, FineTuneOptions options)
    {
        IReadOnlyDictionary<string, long[]> shapes = CheckpointLayout.Expected(config);
        if (options.Lora is not { } lora)
            return shapes.Where(s => FullFineTuning.Trains(s.Key))
                .Select(s => (s.Value.Aggregate(1L, (a, b) => a * b), DiffusionGemmaModel.IsStack(s.Key)));

        string[] projections =
            [.. shapes.Keys.Where(k => k.EndsWith("_proj.weight", StringComparison.Ordinal)).Select(k => k[..^".weight".Length])];
        IEnumerable<string> adapted = LoraTargets.Match(lora.Targets, [.. projections.Where(p => !LoraTargets.IsDecoderOnly(p))]);
        if (lora.SelfConditioning) adapted = adapted.Concat(projections.Where(LoraTargets.IsDecoderOnly));
        IEnumerable<(long, bool)> Pair(long[] shape, long rank, bool isStack)
        {
            long numbers = rank * (isStack ? shape[0] : 1);
            return [(numbers * shape[^1], isStack), (numbers * shape[^2], isStack)];
        }
        IEnumerable<string> stacks = lora.Experts ? shapes.Keys.Where(DiffusionGemmaModel.IsStack) : [];
        return
        [
            .. adapted.Order(StringComparer.Ordinal).SelectMany(name => Pair(shapes[name + ".weight"], lora.Rank, isStack: false)),
            .. stacks.SelectMany(name => Pair(shapes[name], lora.ExpertRank ?? lora.Rank, isStack: true)),
        ];
    }

    private static (double Bytes, double Calls) Exchanges(
        DiffusionGemmaConfig config, FineTuneOptions options, long compute, int rowTokens, IReadOnlyList<int[][]> rounds, int owners)
    {
        const int ForwardCalls = 4;
        double first = options.Objective.SelfConditioningProbability;
        int again = options.Run.ActivationCheckpointing ? 1 : 0, trains = options.Lora is null or { Experts: true } ? 1 : 0, passes = 2;
        long wide = Math.Max(compute, 4), row = config.HiddenSize * compute, canvas = config.CanvasLength;
        long forward = 2 * row + wide, backward = (2 + trains) * row + 2 * wide;                 // of a pair of token and expert
        double pairs = config.TopKExperts * ((rowTokens + canvas) * (forward * (1.0 + again) + backward) + first * canvas * forward);
        double bytes = options.GlobalBatchSize * pairs, calls = 0;
        foreach (int[][] round in rounds)
        {
            double most = 0;
            foreach (int[][] set in round.Chunk(owners))
            {
                int rows = set.Sum(r => r.Length);
                if (rows == 0) continue;
                // the set makes the first pass if one of its rows does
                double forwards = passes * (1 + again) + (1 - Math.Pow(1 - first, rows));
                bytes += owners * forwards * config.NumExperts * sizeof(long);
                most = Math.Max(most, ForwardCalls * forwards + passes * (ForwardCalls + trains));
            }
            calls += most;
        }
        return (config.NumHiddenLayers * bytes, config.NumHiddenLayers * calls);
    }
}
