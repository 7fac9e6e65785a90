using Microsoft.ML;
using Microsoft.ML.Data;

namespace DiffusionGemma;

/// <summary>Texts that annotate a column: the values of its keys, the names of its slots.</summary>
internal static class KeyValues
{
    /// <summary>Annotations with the values of a key column.</summary>
    public static DataViewSchema.Annotations Annotate(IReadOnlyList<string> values)
    {
        var builder = new DataViewSchema.Annotations.Builder();
        builder.AddKeyValues(values.Count, TextDataViewType.Instance, Getter(values));
        return builder.ToAnnotations();
    }

    /// <summary>Annotations of a vector of class scores: the names of its slots, and what ML.NET's own trainers say of theirs.</summary>
    public static DataViewSchema.Annotations AnnotateScores(IReadOnlyList<string> labels)
    {
        var builder = new DataViewSchema.Annotations.Builder();
        builder.AddSlotNames(labels.Count, Getter(labels));
        builder.Add(AnnotationUtils.Kinds.ScoreColumnKind, TextDataViewType.Instance,
            Getters.Text(() => AnnotationUtils.Const.ScoreColumnKind.MulticlassClassification));
        builder.Add(AnnotationUtils.Kinds.ScoreValueKind, TextDataViewType.Instance,
            Getters.Text(() => AnnotationUtils.Const.ScoreValueKind.Score));
        return builder.ToAnnotations();
    }

    private static ValueGetter<VBuffer<ReadOnlyMemory<char>>> Getter(IReadOnlyList<string> texts) => Getters.Texts(() => [.. texts]);
}
