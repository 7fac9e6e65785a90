namespace DiffusionGemma;

/// <summary>Figures of one optimiser step.</summary>
public sealed record StepRecord
{
    /// <summary>Counted from 0 over the run.</summary>
    public required int Step { get; init; }

    /// <summary>Passes over the rows before this one.</summary>
    public required int Epoch { get; init; }

    /// <summary>Diffusion loss plus the weighted encoder loss, in nats a token.</summary>
    public required double Loss { get; init; }

    /// <summary>Mean cross-entropy over the supervised positions of the drawn canvases of the global batch.</summary>
    public required double DiffusionLoss { get; init; }

    /// <summary>Mean next-token cross-entropy of the encoder over the global batch, unweighted.</summary>
    public required double EncoderLoss { get; init; }

    /// <summary>2-norm over all gradients, before clipping.</summary>
    public required double GradientNorm { get; init; }

    /// <summary>The rate that this step used.</summary>
    public required double LearningRate { get; init; }

    /// <summary>Tokens of the rows of the global batch (prompt, response, fill).</summary>
    public required long Tokens { get; init; }

    /// <summary>The part of <see cref="Seconds"/> that the step waited for its rows and draws.</summary>
    public double WaitSeconds { get; init; }

    /// <summary>Wall-clock time of the step.</summary>
    public required double Seconds { get; init; }

    /// <summary>
    /// Bytes of memory at their most: on a CPU of this process so far; on a GPU of all processes on it, at the phases of this step.
    /// </summary>
    public required long PeakBytes { get; init; }

    /// <summary>Tokens over seconds.</summary>
    public double TokensPerSecond => Seconds > 0 ? Tokens / Seconds : 0;
}
