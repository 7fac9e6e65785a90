using Microsoft.ML;
using Microsoft.ML.Data;

namespace DiffusionGemma;

/// <summary>All that a classification is besides its model; saved with it.</summary>
/// <param name="InputColumn">Text.</param>
/// <param name="LabelSource">The text column of true labels; null: none is read.</param>
/// <param name="LabelColumn">The key column that it becomes.</param>
/// <param name="PredictedColumn">The key column of predicted labels.</param>
/// <param name="ScoreColumn">The column of probabilities.</param>
/// <param name="Prompt">The conversation that asks.</param>
/// <param name="EscapesSpecialTokens">Whether the text of a special token stays text.</param>
/// <param name="Labels">The labels, in order.</param>
/// <param name="Scoring">How probabilities are made.</param>
/// <param name="Canvases">Random canvases of each row.</param>
internal sealed record ClassificationPlan(
    string InputColumn, string? LabelSource, string LabelColumn, string PredictedColumn, string ScoreColumn, TypedPrompt Prompt,
    bool EscapesSpecialTokens, IReadOnlyList<string> Labels, LabelScoring Scoring, int Canvases)
{
    /// <summary>The key column of true labels.</summary>
    public DataViewSchema.DetachedColumn TrueLabel() => Key(LabelColumn);

    /// <summary>The columns that the model's answers become.</summary>
    public IReadOnlyList<DataViewSchema.DetachedColumn> Outputs(AnswerOptions options) =>
    [
        Key(PredictedColumn),
        new DataViewSchema.DetachedColumn(
            ScoreColumn, new VectorDataViewType(NumberDataViewType.Single, Labels.Count), KeyValues.AnnotateScores(Labels)),
        .. options.GivesErrors ? [TypedColumn.Text(ChatColumns.ResponseError).Detached] : Array.Empty<DataViewSchema.DetachedColumn>(),
    ];

    private DataViewSchema.DetachedColumn Key(string name) =>
        new(name, new KeyDataViewType(typeof(uint), Labels.Count), KeyValues.Annotate(Labels));
}
