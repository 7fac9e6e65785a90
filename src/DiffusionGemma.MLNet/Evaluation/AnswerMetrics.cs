using Microsoft.ML;

namespace DiffusionGemma;

/// <summary>How good and how quick answers were.</summary>
public sealed record AnswerMetrics
{
    /// <summary>Rows that were held against an expectation.</summary>
    public required int Rows { get; init; }

    /// <summary>Rows whose answer is the expected one.</summary>
    public required int Correct { get; init; }

    /// <summary>Rows without an answer, because they could not be answered (<see cref="RowFailure.EmptyAnswer"/>). They count as wrong.</summary>
    public required int Failed { get; init; }

    /// <summary>Rows left out because nothing is expected of them: their conversation ends with the user.</summary>
    public required int WithoutExpectation { get; init; }

    /// <summary>Rows with an answer, right or wrong.</summary>
    public int Answered => Rows - Failed;

    /// <summary>Correct rows over all.</summary>
    public double ExactMatch => Rows == 0 ? 0 : (double)Correct / Rows;

    /// <summary>Tokens of all answers.</summary>
    public required long Tokens { get; init; }

    /// <summary>Decoder passes of all answers.</summary>
    public required long Steps { get; init; }

    /// <summary>Tokens an answer wins with each decoder pass, over all answers.</summary>
    public double TokensPerForward => Steps == 0 ? 0 : (double)Tokens / Steps;

    /// <summary>
    /// Wall-clock seconds of the pass over the rows. Answering is in them where the view answers while it is read, which a cached one does not, and so is
    /// reading the weights where the model had not answered before; given a model and data, <c>Evaluate</c> reads the weights first.
    /// </summary>
    public required double Seconds { get; init; }

    /// <summary>Tokens of all answers over <see cref="Seconds"/>.</summary>
    public double TokensPerSecond => Seconds > 0 ? Tokens / Seconds : 0;

    /// <summary>One row for each that was held against an expectation: <see cref="AnswerResult"/>.</summary>
    public required IDataView Results { get; init; }

    /// <inheritdoc/>
    public override string ToString() => string.Create(
        System.Globalization.CultureInfo.InvariantCulture,
        $"exact match {Correct} of {Rows} = {100 * ExactMatch:F1} %, {TokensPerForward:F2} tokens a pass, {Seconds:F1} s, {TokensPerSecond:F0} tokens/s{(Failed > 0 ? $", {Failed} not answered" : "")}");
}

/// <summary>One row held against what was expected of it.</summary>
public sealed class AnswerResult
{
    /// <summary>Which row of the data, from 0.</summary>
    public long Row { get; set; }

    /// <summary>What was expected.</summary>
    public string Expected { get; set; } = "";

    /// <summary>What was answered.</summary>
    public string Response { get; set; } = "";

    /// <summary>Of the expectation, what was compared; empty where there is nothing to compare.</summary>
    public string ExpectedKey { get; set; } = "";

    /// <summary>Of the answer, what was compared; empty where there is nothing to compare.</summary>
    public string ResponseKey { get; set; } = "";

    /// <summary>Whether the two are the same.</summary>
    public bool IsMatch { get; set; }

    /// <summary>Tokens of the answer for each decoder pass; 0 where the data does not say.</summary>
    public float TokensPerForward { get; set; }

    /// <summary>Decoder passes; 0 where the data does not say.</summary>
    public int Steps { get; set; }

    /// <summary>Why the row cannot be right: it was not answered, or the answer or the expectation has nothing to compare. Else empty.</summary>
    public string Reason { get; set; } = "";
}
