using TorchSharp;
using static TorchSharp.torch;

namespace DiffusionGemma;

/// <summary>
/// The token table [V,H], which is the tied head too, as what it gives the layers: rows, and expectations over rows, each times √H. Their
/// gradients are added to the table's own, in place: autograd would make one of the table's size at each use.
/// </summary>
internal sealed class EmbeddingTable(Tensor weight, double scale, long paddingId)
{
    /// <summary>[B,S] -> [B,S,H], times √H. Look-ups of the pad id give the table no gradient.</summary>
    public Tensor LookUp(Tensor ids, PassContext context) =>
        IsTrained ? RowsFunction.Run(context.Backward, weight, ids, CreateUse(context))[0]
            : weight.index_select(0, ids.flatten()).view(-1, ids.shape[1], weight.shape[1]).mul_(scale);

    /// <summary>softmax(logits) · table · √H, [B,C,V] -> [B,C,H]. No gradient for the logits.</summary>
    public Tensor Expected(Tensor logits, PassContext context)
    {
        using var scope = NewDisposeScope();
        Tensor probabilities = logits.to(RotaryEmbedding.AtLeastFloat32(weight.dtype)).softmax(-1).to(weight.dtype).view(-1, weight.shape[0]);
        Tensor soft = IsTrained ? ExpectedFunction.Run(context.Backward, weight, probabilities, CreateUse(context))[0]
            : Kernels.MatMul(probabilities, weight).mul_(scale);
        return soft.view(logits.shape[0], -1, weight.shape[1]).MoveToOuterDisposeScope();
    }

    private bool IsTrained => weight.requires_grad && is_grad_enabled();

    /// <summary>What a backward asks for, as one object: a context refuses a bare tensor that is to be changed.</summary>
    private Use CreateUse(PassContext context) => new(weight, scale, paddingId, context.Gradients);

    private sealed record Use(Tensor Weight, double Scale, long PaddingId, GradientSink Gradients);

    private sealed class RowsFunction : AutogradFunction<RowsFunction>
    {
        protected override Tensor[] Forward(autograd.AutogradContext context, object[] inputs)
        {
            var (weight, ids, use) = ((Tensor)inputs[0], (Tensor)inputs[1], (Use)inputs[2]);
            context.save_data("use", use);
            context.save_for_backward([ids]);
            return [weight.index_select(0, ids.flatten()).view(-1, ids.shape[1], weight.shape[1]).mul_(use.Scale)];
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

    private sealed class ExpectedFunction : AutogradFunction<ExpectedFunction>
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
