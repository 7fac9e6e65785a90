using static TorchSharp.torch;

namespace DiffusionGemma;

/// <summary>
/// Looks tokens up in the embedding table [V,H], which is also the tied head, and averages its rows; both times √H. Gradients are added to
/// the table's in place, where autograd would allocate one of the table's size at each use.
/// </summary>
internal sealed class EmbeddingTable(StoredWeight weight, ScalarType dtype, double scale, long paddingId)
{
    /// <summary>Looks up [B,S] -> [B,S,H], times √H. Look-ups of the pad id give the table no gradient.</summary>
    public Tensor LookUp(Tensor ids, PassContext context) =>
        IsTrained ? RowsFunction.Run(context.Backward, weight.Tensor!, ids, CreateUse(context))[0]
            : Kernels.SelectRows(weight, ids.flatten(), dtype).view(-1, ids.shape[1], weight.Shape[1]).mul_(scale);

    /// <summary>Averages of the table's rows, times √H. No gradient for the weights.</summary>
    /// <param name="weights">[N,V]: the weights of the rows in each average.</param>
    /// <param name="totals">[N,1]: what each average is divided by; null: the weights are probabilities.</param>
    /// <param name="context">The pass.</param>
    /// <returns>[N,H].</returns>
    public Tensor Average(Tensor weights, Tensor? totals, PassContext context)
    {
        if (IsTrained)
        {
            Tensor probabilities = totals is null ? weights : weights / totals;
            return AverageFunction.Run(context.Backward, weight.Tensor!, probabilities, CreateUse(context))[0];
        }
        Tensor sums = Kernels.MatMul(weights, weight, context.IsBatchInvariant);
        return (totals is null ? sums : sums.div_(totals)).mul_(scale);
    }

    private bool IsTrained => weight.RequiresGradient && is_grad_enabled();

    /// <summary>Bundles what a backward needs: autograd's context refuses a bare tensor that will be changed.</summary>
    private Use CreateUse(PassContext context) => new(weight.Tensor!, scale, paddingId, context.Gradients);

    private sealed record Use(Tensor Weight, double Scale, long PaddingId, GradientSink Gradients);

    private sealed class RowsFunction : AutogradFunction<RowsFunction>
    {
        protected override Tensor[] Forward(autograd.AutogradContext context, object[] inputs)
        {
            var (weight, ids, use) = ((Tensor)inputs[0], (Tensor)inputs[1], (Use)inputs[2]);
            context.save_data("use", use);
            context.save_for_backward([ids]);
            return [TorchOperators.SelectRows(weight, ids.flatten()).view(-1, ids.shape[1], weight.shape[1]).mul_(use.Scale)];
        }

        protected override Tensor?[] Backward(autograd.AutogradContext context, IReadOnlyList<Tensor?> gradients)
        {
            var use = (Use)context.get_data("use");
            Tensor ids = context.get_saved_variables()[0].flatten(), buffer = use.Gradients.BufferOf(use.Weight);
            Tensor rows = gradients[0]!.reshape(ids.shape[0], -1).to(buffer.dtype) * use.Scale;
            buffer.index_add_(0, ids, rows.masked_fill_(ids.eq(use.PaddingId).unsqueeze(-1), 0), 1);
            return [null, null, null];
        }
    }

    private sealed class AverageFunction : AutogradFunction<AverageFunction>
    {
        protected override Tensor[] Forward(autograd.AutogradContext context, object[] inputs)
        {
            var (weight, probabilities, use) = ((Tensor)inputs[0], (Tensor)inputs[1], (Use)inputs[2]);
            context.save_data("use", use);
            context.save_for_backward([probabilities]);
            return [Kernels.MatMul(probabilities, weight).mul_(use.Scale)];
        }

        protected override Tensor?[] Backward(autograd.AutogradContext context, IReadOnlyList<Tensor?> gradients)
        {
            var use = (Use)context.get_data("use");
            Kernels.AddOuter(use.Gradients.BufferOf(use.Weight), context.get_saved_variables()[0], gradients[0]! * use.Scale);
            return [null, null, null];
        }
    }
}
