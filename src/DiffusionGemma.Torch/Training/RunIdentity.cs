using System.Globalization;
using System.Runtime.InteropServices;
using System.Security.Cryptography;

namespace DiffusionGemma;

/// <summary>
/// What must be the same for a resumed run to give the losses of one that was never stopped: base, rows, and every option that enters the
/// arithmetic, by the name that the user knows it by.
/// </summary>
internal static class RunIdentity
{
    public static SortedDictionary<string, string> Of(DiffusionGemmaModel model, IReadOnlyList<TrainingExample> examples, FineTuneOptions o, int steps, long seed)
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
            [nameof(o.Shuffle)] = o.Shuffle.ToString(),
            [nameof(o.GlobalBatchSize)] = Text(o.GlobalBatchSize),
            [nameof(o.MicroBatchSize)] = Text(o.MicroBatchSize),
            [nameof(o.MicroBatchTokens)] = o.MicroBatchTokens?.ToString(CultureInfo.InvariantCulture) ?? "any",
            [nameof(o.LearningRate)] = Text(o.LearningRate),
            [nameof(o.InitialLearningRate)] = Text(o.InitialLearningRate),
            [nameof(o.MinLearningRate)] = Text(o.MinLearningRate),
            [nameof(o.WarmupSteps)] = Text(o.WarmupSteps),
            [nameof(o.Decay)] = o.Decay.ToString(),
            [nameof(o.DecayFraction)] = Text(o.DecayFraction),
            [nameof(o.Beta1)] = Text(o.Beta1),
            [nameof(o.Beta2)] = Text(o.Beta2),
            [nameof(o.AdamEpsilon)] = Text(o.AdamEpsilon),
            [nameof(o.WeightDecay)] = Text(o.WeightDecay),
            [nameof(o.MaxGradientNorm)] = Text(o.MaxGradientNorm),
            [nameof(o.EncoderLossWeight)] = Text(o.EncoderLossWeight),
            [nameof(o.SelfConditioningProbability)] = Text(o.SelfConditioningProbability),
            [nameof(o.NoiseFloor)] = Text(o.NoiseFloor),
            [nameof(o.Lora)] = model.Adapter is { } adapter && o.Lora is not null ? $"{adapter.Config} on {string.Join(',', adapter.Modules)}" : "none",
        };
        return identity;
    }

    /// <summary>The first option that differs and is not accepted, with both values; null where none does.</summary>
    public static (string Option, string Was, string Is)? Difference(
        IReadOnlyDictionary<string, string> was, IReadOnlyDictionary<string, string> now, IReadOnlyList<string> accepted)
    {
        foreach (string name in now.Keys.Union(was.Keys).Except(accepted))
        {
            string before = was.GetValueOrDefault(name, "absent"), after = now.GetValueOrDefault(name, "absent");
            if (before != after) return (name, before, after);
        }
        return null;
    }

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
