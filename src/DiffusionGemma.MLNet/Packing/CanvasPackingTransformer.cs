using DiffusionGemma;
using Microsoft.ML;
using Microsoft.ML.Data;
using Microsoft.ML.Runtime;

[assembly: LoadableClass(typeof(CanvasPackingTransformer), null, typeof(SignatureLoadModel), "DiffusionGemma canvas packing",
    CanvasPackingTransformer.LoaderSignature)]

namespace DiffusionGemma;

/// <summary>Packs rows into whole canvases: the transformer of <see cref="CanvasPackingEstimator"/>.</summary>
public sealed class CanvasPackingTransformer : RowToRowTransformerBase
{
    internal const string LoaderSignature = "DiffusionGemmaPack";

    private const ushort ColumnsSince = 2;

    private readonly PackingOptions _options;

    internal CanvasPackingTransformer(IHostEnvironment environment, PackingOptions options, CanvasPackingEstimator.Options columns)
        : base(environment.Register(nameof(CanvasPackingTransformer)))
    {
        _options = options;
        Inputs =
        [
            TypedColumn.Ints(columns.InputIdsColumnName, StepNames.TokenizeChat),
            TypedColumn.Bools(columns.LossMaskColumnName, StepNames.MaskResponse),
        ];
        Outputs =
        [
            TypedColumn.Ints(columns.InputIdsColumnName), TypedColumn.Bools(columns.LossMaskColumnName),
            TypedColumn.Int(columns.CanvasCountColumnName), TypedColumn.Int(columns.PaddedLengthColumnName),
            TypedColumn.Int(columns.CutTokensColumnName),
        ];
    }

    internal TypedColumn[] Inputs { get; }

    internal TypedColumn[] Outputs { get; }

    private static VersionInfo Version => ModelVersion.Create("DGM PACK", ColumnsSince, LoaderSignature);

    /// <inheritdoc/>
    protected override IRowMapper MakeRowMapper(DataViewSchema schema) => new Mapper(this, schema);

    /// <inheritdoc/>
    protected override void SaveModel(ModelSaveContext ctx)
    {
        ctx.CheckAtModel();
        ctx.SetVersionInfo(Version);
        ctx.Writer.Write(_options.CanvasLength);
        ctx.Writer.Write(_options.EosId);
        ctx.Writer.Write(_options.MaxLength);
        ctx.Writer.Write(_options.PadMultiple);
        ctx.Writer.Write((int)_options.Truncated);
        foreach (TypedColumn output in Outputs)
            ctx.SaveNonEmptyString(output.Name);
    }

    private static CanvasPackingTransformer Create(IHostEnvironment env, ModelLoadContext ctx)
    {
        ModelVersion.Check(ctx, env, Version);
        var options = new PackingOptions(
            CanvasLength: ctx.Reader.ReadInt32(), EosId: ctx.Reader.ReadInt32(), MaxLength: ctx.Reader.ReadInt32(),
            PadMultiple: ctx.Reader.ReadInt32());
        var columns = new CanvasPackingEstimator.Options();
        if (ModelVersion.IsSince(ctx, ColumnsSince))
        {
            options = options with { Truncated = (TruncatedRows)ctx.Reader.ReadInt32() };
            columns = new CanvasPackingEstimator.Options
            {
                InputIdsColumnName = ctx.LoadNonEmptyString(), LossMaskColumnName = ctx.LoadNonEmptyString(),
                CanvasCountColumnName = ctx.LoadNonEmptyString(), PaddedLengthColumnName = ctx.LoadNonEmptyString(),
                CutTokensColumnName = ctx.LoadNonEmptyString(),
            };
        }
        return new CanvasPackingTransformer(env, options, columns);
    }

    private sealed class Mapper(CanvasPackingTransformer parent, DataViewSchema schema)
        : RowMapper<PackedRow>(parent, parent.Host, schema, parent.Inputs,
            [.. parent.Outputs.Select(output => output.Detached)])
    {
        protected override Func<PackedRow> Compute(DataViewRow row, DataViewSchema.Column[] inputs)
        {
            Func<int[]> ids = Getters.ReadVector<int>(row, inputs[0]);
            Func<bool[]> lossMask = Getters.ReadVector<bool>(row, inputs[1]);
            Func<ChatPosition> position = Getters.ReadPosition(row);
            return () =>
            {
                (int[] rowIds, bool[] rowMask) = (ids(), lossMask());
                if (rowIds.Length != rowMask.Length)
                    throw new ChatDataException($"{inputs[0].Name} has {rowIds.Length} values and {inputs[1].Name} {rowMask.Length}: "
                        + "they must be of one length", position());
                return PackedRow.Pack(rowIds, rowMask, parent._options);
            };
        }

        protected override Delegate MakeGetter(int output, Func<PackedRow> value) => output switch
        {
            0 => Getters.Vector(() => value().InputIds),
            1 => Getters.Vector(() => value().LossMask),
            2 => Getters.Value(() => value().CanvasCount),
            3 => Getters.Value(() => value().PaddedLength),
            _ => Getters.Value(() => value().CutTokens),
        };
    }
}
