namespace DiffusionGemma;

/// <summary>Treatment of a row that cannot be answered.</summary>
public enum RowFailure
{
    /// <summary>
    /// Ends the pass over the data with a <see cref="ChatDataException"/> that names the row, once the rows before it are handed out.
    /// </summary>
    Throw,

    /// <summary>
    /// Gives the row an empty answer, and the reason in the column <see cref="ChatColumns.ResponseError"/>; the other rows are answered.
    /// </summary>
    EmptyAnswer,
}
