using Microsoft.ML;
using Microsoft.ML.Data;

namespace DiffusionGemma;

/// <summary>
/// The chat template that rows were tokenized with, as an annotation of the column of notes, which no later step replaces: a model that is
/// fitted on them keeps it.
/// </summary>
internal static class TemplateAnnotation
{
    private const string Kind = "ChatTemplate";

    /// <param name="text">Its template's text is read when it is asked for.</param>
    public static DataViewSchema.Annotations Create(CheckpointText text)
    {
        var builder = new DataViewSchema.Annotations.Builder();
        builder.Add(Kind, TextDataViewType.Instance,
            (ref ReadOnlyMemory<char> value) => value = text.Tokenizer.Template.Source.AsMemory());
        return builder.ToAnnotations();
    }

    /// <summary>The template's text; null where the rows do not say.</summary>
    public static string? Find(DataViewSchema schema)
    {
        foreach (DataViewSchema.Column column in schema.Where(column => !column.IsHidden))
        {
            if (column.Annotations.Schema.GetColumnOrNull(Kind) is not { Type: TextDataViewType }) continue;
            ReadOnlyMemory<char> value = default;
            column.Annotations.GetValue(Kind, ref value);
            return value.ToString();
        }
        return null;
    }
}
