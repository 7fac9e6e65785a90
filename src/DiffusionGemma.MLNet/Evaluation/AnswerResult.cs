namespace DiffusionGemma;

/// <summary>One row compared with its expected answer.</summary>
public sealed class AnswerResult
{
    /// <summary>The row of the data, counted from 0.</summary>
    public long Row { get; set; }

    /// <summary>The expected text.</summary>
    public string Expected { get; set; } = "";

    /// <summary>The answer.</summary>
    public string Response { get; set; } = "";

    /// <summary>The compared part of the expected text; empty where there is none.</summary>
    public string ExpectedKey { get; set; } = "";

    /// <summary>The compared part of the answer; empty where there is none.</summary>
    public string ResponseKey { get; set; } = "";

    /// <summary>True where both compared parts are the same.</summary>
    public bool IsMatch { get; set; }

    /// <summary>Tokens of the answer for each decoder pass; 0 where the data does not say.</summary>
    public float TokensPerForward { get; set; }

    /// <summary>Decoder passes; 0 where the data does not say.</summary>
    public int Steps { get; set; }

    /// <summary>The reason why the row counts as wrong without a comparison (no answer, or nothing to compare); else empty.</summary>
    public string Reason { get; set; } = "";
}
