using Microsoft.ML;
using Microsoft.ML.Data;
using Microsoft.ML.Runtime;

namespace DiffusionGemma;

/// <summary>A row mapper whose output columns all come from one value.</summary>
/// <remarks>ML.NET's own base class computes each column separately.</remarks>
/// <param name="transformer">The transformer that the mapper belongs to.</param>
/// <param name="context">Names the transformer in errors.</param>
/// <param name="schema">The input.</param>
/// <param name="inputs">The columns that are read.</param>
/// <param name="outputs">The columns that are added.</param>
internal abstract class RowMapper<TValue>(RowToRowTransformerBase transformer, IExceptionContext context, DataViewSchema schema,
    IReadOnlyList<TypedColumn> inputs, IReadOnlyList<DataViewSchema.DetachedColumn> outputs) : IRowMapper
{
    private readonly DataViewSchema.Column[] _inputs = [.. inputs.Select(input => input.FindIn(schema, context))];

    /// <summary>Computes the value of the row that is current when the result is called.</summary>
    protected abstract Func<TValue> Compute(DataViewRow row, DataViewSchema.Column[] inputs);

    /// <summary>The getter of an output column.</summary>
    protected abstract Delegate MakeGetter(int output, Func<TValue> value);

    DataViewSchema.DetachedColumn[] IRowMapper.GetOutputColumns() => [.. outputs];

    Func<int, bool> IRowMapper.GetDependencies(Func<int, bool> activeOutput)
    {
        bool any = Enumerable.Range(0, outputs.Count).Any(activeOutput);
        return column => any && _inputs.Any(input => input.Index == column);
    }

    Delegate[] IRowMapper.CreateGetters(DataViewRow input, Func<int, bool> activeOutput, out Action? disposer)
    {
        disposer = null;
        var getters = new Delegate[outputs.Count];
        int[] active = [.. Enumerable.Range(0, outputs.Count).Where(activeOutput)];
        if (active.Length == 0)
            return getters;
        Func<TValue> value = Getters.OncePerRow(input, Compute(input, _inputs));
        foreach (int output in active)
            getters[output] = MakeGetter(output, value);
        return getters;
    }

    ITransformer IRowMapper.GetTransformer() => transformer;

    void ICanSaveModel.Save(ModelSaveContext ctx) => ((ICanSaveModel)transformer).Save(ctx);
}
