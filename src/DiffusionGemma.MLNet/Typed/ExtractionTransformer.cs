using System.Text.Json;
using DiffusionGemma;
using Microsoft.ML;
using Microsoft.ML.Runtime;

[assembly: LoadableClass(typeof(ExtractionTransformer), null, typeof(SignatureLoadModel), "DiffusionGemma extraction",
    ExtractionTransformer.LoaderSignature)]

namespace DiffusionGemma;

/// <summary>Reads typed columns from texts: the transformer of <see cref="ExtractionEstimator"/>.</summary>
public sealed class ExtractionTransformer : TypedAnswerTransformer
{
    internal const string LoaderSignature = "DiffusionGemmaExtract";

    private readonly ExtractionPlan _plan;

    internal ExtractionTransformer(
        IHostEnvironment environment, DiffusionGemmaTransformer answering, bool ownsModel, ExtractionPlan plan, AnswerOptions options)
        : base(environment, nameof(ExtractionTransformer), answering, ownsModel, options) => _plan = plan;

    /// <summary>The JSON schema that every answer is an instance of.</summary>
    public string Schema => Options.Generation.Grammar!.Source;

    private static VersionInfo Version => ModelVersion.Create("DGM EXTR", 1, LoaderSignature);

    private protected override IRowAnswerer Answerer(AnswerOptions options) => new ExtractionAnswerer(Answering, _plan, options, Host);

    private protected override void Save(ModelSaveContext ctx)
    {
        ctx.SetVersionInfo(Version);
        ctx.SaveNonEmptyString(JsonSerializer.Serialize(_plan));
        SavedAnswerOptions.Save(ctx, Options);
    }

    private static ExtractionTransformer Create(IHostEnvironment env, ModelLoadContext ctx)
    {
        ModelVersion.Check(ctx, env, Version);
        ExtractionPlan plan = SavedJson.Read<ExtractionPlan>(ctx.LoadNonEmptyString());
        AnswerOptions options = SavedAnswerOptions.Load(ctx);
        return new ExtractionTransformer(env, LoadModel(env, ctx), ownsModel: true, plan, options);
    }
}
