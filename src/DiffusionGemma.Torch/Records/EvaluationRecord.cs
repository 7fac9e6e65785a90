namespace DiffusionGemma;

/// <summary>Losses on held-out rows, in nats a token.</summary>
public sealed record EvaluationRecord
{
    /// <summary>Noise levels an example is decoded at: t = 0.05, 0.15, ... 0.95.</summary>
    public const int NoiseLevels = 10;

    /// <summary>Steps trained before it.</summary>
    public required int Step { get; init; }

    /// <summary>Mean over the noise levels of <see cref="DiffusionLossByNoise"/>.</summary>
    public required double DiffusionLoss { get; init; }

    /// <summary>
    /// Mean cross-entropy over the supervised positions of one canvas a row, at each noise level, without self-conditioning.
    /// </summary>
    public required IReadOnlyList<double> DiffusionLossByNoise { get; init; }

    /// <summary>Mean next-token cross-entropy of the encoder.</summary>
    public required double EncoderLoss { get; init; }

    /// <summary>Answers to held-out rows (<see cref="EvaluationOptions.Answers"/>); empty where none were asked for.</summary>
    public IReadOnlyList<EvaluationAnswer> Answers { get; init; } = [];
}
