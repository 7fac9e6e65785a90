using Microsoft.ML;
using Microsoft.ML.Data;
using Microsoft.ML.Runtime;

namespace DiffusionGemma;

/// <summary>Turns texts of labels into keys in the labels' order; an empty text is the missing key, another label an error.</summary>
internal sealed class LabelKeyTransformer : RowToRowTransformerBase
{
    private readonly ClassificationPlan _plan;

    public LabelKeyTransformer(IHostEnvironment environment, ClassificationPlan plan)
        : base(environment.Register(nameof(LabelKeyTransformer))) => _plan = plan;

    public static TypedColumn Input(ClassificationPlan plan) => TypedColumn.Text(plan.LabelSource!);

    /// <summary>Maps rows of a schema.</summary>
    public IRowToRowMapper Rows(DataViewSchema schema) => ((ITransformer)this).GetRowToRowMapper(schema);

    protected override IRowMapper MakeRowMapper(DataViewSchema schema) => new Mapper(this, schema);

    protected override void SaveModel(ModelSaveContext ctx) =>
        throw new NotSupportedException("Saved as a part of the classification that it belongs to.");

    private sealed class Mapper(LabelKeyTransformer parent, DataViewSchema schema)
        : RowMapper<uint>(parent, parent.Host, schema, [Input(parent._plan)], [parent._plan.TrueLabel()])
    {
        private readonly Dictionary<string, uint> _keys = parent._plan.Labels.Select((label, index) => (label, index))
            .ToDictionary(pair => pair.label, pair => (uint)pair.index + 1, StringComparer.Ordinal);

        protected override Func<uint> Compute(DataViewRow row, DataViewSchema.Column[] inputs)
        {
            Func<ReadOnlyMemory<char>> text = Getters.ReadValue<ReadOnlyMemory<char>>(row, inputs[0]);
            Func<ChatPosition> position = Getters.ReadPosition(row);
            return () =>
            {
                string label = text().ToString();
                if (label.Length == 0) return 0;
                return _keys.TryGetValue(label, out uint key) ? key : throw new ChatDataException(
                    $"{inputs[0].Name} is '{label}', which is none of the labels: "
                    + string.Join(", ", _keys.Keys.Select(one => $"'{one}'")),
                    position());
            };
        }

        protected override Delegate MakeGetter(int output, Func<uint> value) => Getters.Value(value);
    }
}
