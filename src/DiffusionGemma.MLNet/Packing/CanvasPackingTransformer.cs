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

    private readonly PackingOptions _options;

    internal CanvasPackingTransformer(IHostEnvironment environment, PackingOptions options)
        : base(environment.Register(nameof(CanvasPackingTransformer)))
    {
        _options = options;
    }

    internal TypedColumn[] Inputs { get; } = [TypedColumn.Ints(ChatColumns.InputIds), TypedColumn.Bools(ChatColumns.LossMask)];

    internal TypedColumn[] Outputs { get; } =
    [
        TypedColumn.Ints(ChatColumns.InputIds), TypedColumn.Bools(ChatColumns.LossMask), TypedColumn.Int(ChatColumns.CanvasCount),
        TypedColumn.Int(ChatColumns.PaddedLength), TypedColumn.Int(ChatColumns.CutTokens),
    ];

    private static VersionInfo Version => ModelVersion.Create("DGM PACK", 1, LoaderSignature);

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
    }

    private static CanvasPackingTransformer Create(IHostEnvironment env, ModelLoadContext ctx)
    {
        ctx.CheckAtModel(Version);
        return new CanvasPackingTransformer(env, new PackingOptions(
            CanvasLength: ctx.Reader.ReadInt32(), EosId: ctx.Reader.ReadInt32(), MaxLength: ctx.Reader.ReadInt32(),
                PadMultiple: ctx.Reader.ReadInt32()));
    }

    private sealed class Mapper(CanvasPackingTransformer parent, DataViewSchema schema)
        : RowMapper<PackedRow>(parent, parent.Host, schema, parent.Inputs, parent.Outputs)
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
