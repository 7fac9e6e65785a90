using System.Text.Json;
using DiffusionGemma;
using Microsoft.ML;
using Microsoft.ML.Data;
using Microsoft.ML.Runtime;

[assembly: LoadableClass(typeof(ClassificationTransformer), null, typeof(SignatureLoadModel), "DiffusionGemma classification",
    ClassificationTransformer.LoaderSignature)]

namespace DiffusionGemma;

/// <summary>Classifies texts: the transformer of <see cref="ClassificationEstimator"/>.</summary>
public sealed class ClassificationTransformer : TypedAnswerTransformer
{
    internal const string LoaderSignature = "DiffusionGemmaClassify";

    private readonly ClassificationPlan _plan;
    private readonly LabelKeyTransformer? _label;

    internal ClassificationTransformer(
        IHostEnvironment environment, DiffusionGemmaTransformer answering, bool ownsModel, ClassificationPlan plan, AnswerOptions options)
        : base(environment, nameof(ClassificationTransformer), answering, ownsModel, options)
    {
        _plan = plan;
        _label = plan.LabelSource is null ? null : new LabelKeyTransformer(environment, plan);
    }

    /// <summary>The labels, in the order of keys and scores.</summary>
    public IReadOnlyList<string> Labels => _plan.Labels;

    private static VersionInfo Version => ModelVersion.Create("DGM CLAS", 1, LoaderSignature);

    private protected override IRowAnswerer Answerer(AnswerOptions options) => new ClassificationAnswerer(Answering, _plan, options, Host);

    private protected override IDataView Prepare(IDataView input) => _label?.Transform(input) ?? input;

    private protected override IRowToRowMapper RowMapper(DataViewSchema input)
    {
        if (_label is null) return base.RowMapper(input);
        IRowToRowMapper labels = _label.Rows(input);
        return new CompositeRowToRowMapper(input, [labels, base.RowMapper(labels.OutputSchema)]);
    }

    private protected override void Save(ModelSaveContext ctx)
    {
        ctx.SetVersionInfo(Version);
        ctx.SaveNonEmptyString(JsonSerializer.Serialize(_plan));
        SavedAnswerOptions.Save(ctx, Options);
    }

    private static ClassificationTransformer Create(IHostEnvironment env, ModelLoadContext ctx)
    {
        ModelVersion.Check(ctx, env, Version);
        ClassificationPlan plan = SavedJson.Read<ClassificationPlan>(ctx.LoadNonEmptyString());
        AnswerOptions options = SavedAnswerOptions.Load(ctx);
        return new ClassificationTransformer(env, LoadModel(env, ctx), ownsModel: true, plan, options);
    }
}
