using Microsoft.ML;

namespace DiffusionGemma;

/// <summary>Accuracy and speed of answers.</summary>
public sealed record AnswerMetrics
{
    /// <summary>Rows that were compared with an expected answer.</summary>
    public required int Rows { get; init; }

    /// <summary>Rows whose answer is the expected one.</summary>
    public required int Correct { get; init; }

    /// <summary>Rows that could not be answered (<see cref="RowFailure.EmptyAnswer"/>); they count as wrong.</summary>
    public required int Failed { get; init; }

    /// <summary>Rows left out because they have no expected answer: their conversation ends with the user.</summary>
    public required int WithoutExpectation { get; init; }

    /// <summary>Rows with an answer, right or wrong.</summary>
    public int Answered => Rows - Failed;

    /// <summary>Correct rows over all.</summary>
    public double ExactMatch => Rows == 0 ? 0 : (double)Correct / Rows;

    /// <summary>Accuracy of each field, with <see cref="AnswerMatch.Fields"/>; else empty.</summary>
    public IReadOnlyList<FieldMetrics> Fields { get; init; } = [];

    /// <summary>Tokens of all answers.</summary>
    public required long Tokens { get; init; }

    /// <summary>Decoder passes of all answers.</summary>
    public required long Steps { get; init; }

    /// <summary>Mean tokens for each decoder pass, over all answers.</summary>
    public double TokensPerForward => Steps == 0 ? 0 : (double)Tokens / Steps;

    /// <summary>Wall-clock seconds of the pass over the rows.</summary>
    /// <remarks>
    /// They include answering where the view answers while it is read (a cached view does not), and reading the weights where the model had
    /// not answered before; <c>Evaluate</c> of a model and data reads the weights first.
    /// </remarks>
    public required double Seconds { get; init; }

    /// <summary>Tokens of all answers over <see cref="Seconds"/>.</summary>
    public double TokensPerSecond => Seconds > 0 ? Tokens / Seconds : 0;

    /// <summary>One row for each compared row: <see cref="AnswerResult"/>.</summary>
    public required IDataView Results { get; init; }

    /// <inheritdoc/>
    public override string ToString() => string.Create(
        System.Globalization.CultureInfo.InvariantCulture,
        $"exact match {Correct} of {Rows} = {100 * ExactMatch:F1} %, {TokensPerForward:F2} tokens a pass, {Seconds:F1} s, "
            + $"{TokensPerSecond:F0} tokens/s{(Failed > 0 ? $", {Failed} not answered" : "")}");
}
