using System.Globalization;
using System.Runtime.InteropServices;
using System.Security.Cryptography;

namespace DiffusionGemma;

/// <summary>
/// Everything that a resumed run must share with the run it continues, to give the losses of one that was never stopped: base, rows, and
/// every option that enters the arithmetic. Options are named without their group, as run checkpoints have always named them.
/// </summary>
internal static class RunIdentity
{
    /// <summary>The entry that changes no loss, but the choice of the best weights and the early stop.</summary>
    public const string Evaluation = nameof(FineTuneOptions.Evaluation);

    public static SortedDictionary<string,
        string> Describe(DiffusionGemmaModel model, IReadOnlyList<TrainingExample> examples, FineTuneOptions o, int steps, long seed)
    {
        static string Text(IFormattable value) => value.ToString(null, CultureInfo.InvariantCulture);
        var identity = new SortedDictionary<string, string>(StringComparer.Ordinal)
        {
            ["Checkpoint"] = CheckpointFingerprint.Compute(model.Folder),
            ["Rows"] = Fingerprint(examples),
            ["DType"] = model.DType.ToString(),
            ["Device"] = model.Device.type.ToString(),
            ["Steps"] = Text(steps),
            [nameof(o.Seed)] = Text(seed),
            [nameof(o.Run.Shuffle)] = o.Run.Shuffle.ToString(),
            [nameof(o.GlobalBatchSize)] = Text(o.GlobalBatchSize),
            [nameof(o.Run.MicroBatchSize)] = Text(o.Run.MicroBatchSize),
            [nameof(o.Run.MicroBatchTokens)] = o.Run.MicroBatchTokens?.ToString(CultureInfo.InvariantCulture) ?? "any",
            [nameof(o.LearningRate)] = Text(o.LearningRate),
            [nameof(o.Optimizer.InitialLearningRate)] = Text(o.Optimizer.InitialLearningRate),
            [nameof(o.Optimizer.MinLearningRate)] = Text(o.Optimizer.MinLearningRate),
            [nameof(o.WarmupSteps)] = Text(o.WarmupOf(steps)),
            [nameof(o.Optimizer.Decay)] = o.Optimizer.Decay.ToString(),
            [nameof(o.Optimizer.DecayFraction)] = Text(o.Optimizer.DecayFraction),
            [nameof(o.Optimizer.Beta1)] = Text(o.Optimizer.Beta1),
            [nameof(o.Optimizer.Beta2)] = Text(o.Optimizer.Beta2),
            [nameof(o.Optimizer.AdamEpsilon)] = Text(o.Optimizer.AdamEpsilon),
            [nameof(o.Optimizer.WeightDecay)] = Text(o.Optimizer.WeightDecay),
            [nameof(o.Optimizer.MaxGradientNorm)] = Text(o.Optimizer.MaxGradientNorm),
            [nameof(o.Objective.EncoderLossWeight)] = Text(o.Objective.EncoderLossWeight),
            [nameof(o.Objective.SelfConditioningProbability)] = Text(o.Objective.SelfConditioningProbability),
            [nameof(o.Objective.NoiseFloor)] = Text(o.Objective.NoiseFloor),
            [nameof(o.Lora)] = model.Adapter is { } adapter && o.Lora is not null ? $"{adapter.Config} on {Modules(adapter)}" : "none",
            [Evaluation] = o.Evaluation is { } evaluation ? Describe(evaluation) : "none",
        };
        // Only where it is used: runs of unquantised weights were never asked.
        if (model.Quantization != Quantization.None) identity[nameof(o.Quantization)] = model.Quantization.ToString();
        return identity;
    }

    /// <summary>The options that differ and are not accepted, with both values.</summary>
    public static IEnumerable<string> Differences(
        IReadOnlyDictionary<string, string> was, IReadOnlyDictionary<string, string> now, IReadOnlyList<string> accepted) =>
        from name in now.Keys.Union(was.Keys).Except(accepted)
        let before = was.GetValueOrDefault(name, "absent")
        let after = now.GetValueOrDefault(name, "absent")
        where before != after
        select $"{name} was {before} and is {after} now";

    /// <exception cref="TrainingException">A name is not one of an option that may differ.</exception>
    public static void RequireKnown(IReadOnlyList<string> accepted, IReadOnlyDictionary<string, string> identity)
    {
        if (accepted.FirstOrDefault(name => !identity.ContainsKey(name)) is string stranger)
            throw new TrainingException(
                $"FineTuneOptions.Checkpoints.AcceptChanged names '{stranger}'; what may differ is {string.Join(", ", identity.Keys)}.")
            {
                Option = "FineTuneOptions.Checkpoints.AcceptChanged",
            };
    }

    private static string Describe(EvaluationOptions e)
    {
        string rows = $"{e.Examples.Count} rows ({Fingerprint(e.Examples)[..16]})", best = e.KeepBest ? "best kept" : "none kept";
        return string.Create(CultureInfo.InvariantCulture, $"{rows} every {e.EverySteps} steps, {best}, patience {e.Patience}");
    }

    private static string Modules(LoraAdapter adapter) =>
        string.Join(", ", adapter.Modules.GroupBy(LoraTargets.Suffix).Select(kind => $"{kind.Key} x {kind.Count()}"));

    private static string Fingerprint(IReadOnlyList<TrainingExample> examples)
    {
        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        Span<int> numbers = stackalloc int[3];
        foreach (TrainingExample example in examples)
        {
            (numbers[0], numbers[1], numbers[2]) = (example.InputIds.Length, example.PrefixLength, example.PaddedLength);
            hash.AppendData(MemoryMarshal.AsBytes(numbers));
            hash.AppendData(MemoryMarshal.AsBytes<int>(example.InputIds));
            hash.AppendData(MemoryMarshal.AsBytes<bool>(example.LossMask));
        }
        return Convert.ToHexStringLower(hash.GetHashAndReset());
    }
}
