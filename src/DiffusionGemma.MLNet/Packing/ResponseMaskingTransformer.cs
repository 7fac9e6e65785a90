using DiffusionGemma;
using Microsoft.ML;
using Microsoft.ML.Data;
using Microsoft.ML.Runtime;

[assembly: LoadableClass(typeof(ResponseMaskingTransformer), null, typeof(SignatureLoadModel), "DiffusionGemma response mask",
    ResponseMaskingTransformer.LoaderSignature)]

namespace DiffusionGemma;

/// <summary>Masks the last assistant turn: the transformer of <see cref="ResponseMaskingEstimator"/>.</summary>
public sealed class ResponseMaskingTransformer : RowToRowTransformerBase
{
    internal const string LoaderSignature = "DiffusionGemmaMask";

    internal ResponseMaskingTransformer(IHostEnvironment environment, ResponseMaskingEstimator.Options options)
        : base(environment.Register(nameof(ResponseMaskingTransformer)))
    {
        Input = TypedColumn.Bools(options.InputColumnName, StepNames.TokenizeChat);
        Outputs = [TypedColumn.Bools(options.OutputColumnName), TypedColumn.Int(options.PromptLengthColumnName)];
    }

    internal TypedColumn Input { get; }

    internal TypedColumn[] Outputs { get; }

    private static VersionInfo Version => ModelVersion.Create("DGM MASK", 1, LoaderSignature);

    /// <inheritdoc/>
    protected override IRowMapper MakeRowMapper(DataViewSchema schema) => new Mapper(this, schema);

    /// <inheritdoc/>
    protected override void SaveModel(ModelSaveContext ctx)
    {
        ctx.CheckAtModel();
        ctx.SetVersionInfo(Version);
        ctx.SaveNonEmptyString(Input.Name);
        foreach (TypedColumn output in Outputs)
            ctx.SaveNonEmptyString(output.Name);
    }

    private static ResponseMaskingTransformer Create(IHostEnvironment env, ModelLoadContext ctx)
    {
        ModelVersion.Check(ctx, env, Version);
        return new ResponseMaskingTransformer(env, new ResponseMaskingEstimator.Options
        {
            InputColumnName = ctx.LoadNonEmptyString(), OutputColumnName = ctx.LoadNonEmptyString(),
            PromptLengthColumnName = ctx.LoadNonEmptyString(),
        });
    }

    /// <summary>Finds the last unbroken run of true; its start is the whole length if there is none.</summary>
    internal static (bool[] LossMask, int PromptLength) LastRun(bool[] assistantMask)
    {
        var lossMask = new bool[assistantMask.Length];
        int last = Array.LastIndexOf(assistantMask, true);
        if (last < 0)
            return (lossMask, assistantMask.Length);
        int first = Array.LastIndexOf(assistantMask, false, last) + 1;
        Array.Fill(lossMask, true, first, last - first + 1);
        return (lossMask, first);
    }

    private sealed class Mapper(ResponseMaskingTransformer parent, DataViewSchema schema)
        : RowMapper<(bool[] LossMask, int PromptLength)>(parent, parent.Host, schema, [parent.Input],
            [.. parent.Outputs.Select(output => output.Detached)])
    {
        protected override Func<(bool[] LossMask, int PromptLength)> Compute(DataViewRow row, DataViewSchema.Column[] inputs)
        {
            Func<bool[]> mask = Getters.ReadVector<bool>(row, inputs[0]);
            return () => LastRun(mask());
        }

        protected override Delegate MakeGetter(int output, Func<(bool[] LossMask, int PromptLength)> value) =>
            output == 0 ? Getters.Vector(() => value().LossMask) : Getters.Value(() => value().PromptLength);
    }
}
