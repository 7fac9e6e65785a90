using System.Text.Json;
using System.Text.Json.Serialization;
using Microsoft.ML;

namespace DiffusionGemma;

/// <summary>Settings for answering in a saved model, whole: those of typed answers.</summary>
internal static class SavedAnswerOptions
{
    private static readonly JsonSerializerOptions AsJson = new() { NumberHandling = JsonNumberHandling.AllowNamedFloatingPointLiterals };

    public static void Save(ModelSaveContext ctx, AnswerOptions options)
    {
        ctx.SaveNonEmptyString(SerializeGeneration(options.Generation));
        ctx.Writer.Write(options.BatchSize);
        ctx.Writer.Write(options.BatchesAhead);
        ctx.Writer.Write((int)options.OnFailure);
    }

    public static AnswerOptions Load(ModelLoadContext ctx) => new()
    {
        Generation = DeserializeGeneration(ctx.LoadNonEmptyString()),
        BatchSize = ctx.Reader.ReadInt32(),
        BatchesAhead = ctx.Reader.ReadInt32(),
        OnFailure = (RowFailure)ctx.Reader.ReadInt32(),
    };

    public static string SerializeGeneration(GenerationOptions options) => JsonSerializer.Serialize(options, AsJson);

    /// <exception cref="FormatException">The text is damaged.</exception>
    public static GenerationOptions DeserializeGeneration(string json) => SavedJson.Read<GenerationOptions>(json, AsJson);
}
