using Microsoft.ML;
using Microsoft.ML.Data;

namespace DiffusionGemma;

/// <summary>All that an extraction is besides its model and grammar; saved with it.</summary>
/// <param name="InputColumn">Text.</param>
/// <param name="JsonColumn">The column of the whole answer.</param>
/// <param name="Prompt">The conversation that asks.</param>
/// <param name="EscapesSpecialTokens">Whether the text of a special token stays text.</param>
/// <param name="Columns">The columns of the answer's values.</param>
internal sealed record ExtractionPlan(
    string InputColumn, string JsonColumn, TypedPrompt Prompt, bool EscapesSpecialTokens, IReadOnlyList<AnswerColumn> Columns)
{
    /// <summary>The columns that are added.</summary>
    public IReadOnlyList<DataViewSchema.DetachedColumn> Outputs(AnswerOptions options) =>
    [
        .. Columns.Select(column => column.Detach()),
        new DataViewSchema.DetachedColumn(JsonColumn, TextDataViewType.Instance),
        .. options.GivesErrors ? [TypedColumn.Text(ChatColumns.ResponseError).Detached] : Array.Empty<DataViewSchema.DetachedColumn>(),
    ];

    /// <exception cref="ArgumentException">A column of the answer has the name of another that is added.</exception>
    public void RequireNames(AnswerOptions options)
    {
        string? twice = Outputs(options).GroupBy(column => column.Name).FirstOrDefault(group => group.Count() > 1)?.Key;
        if (twice is not null)
            throw new ArgumentException($"A property makes the column '{twice}', which is added already: name another "
                + "ResponseJsonColumnName, or rename the property.");
    }
}
