using static TorchSharp.torch;

namespace DiffusionGemma;

/// <summary>A bias-free projection y = W x, plus the low-rank delta of the adapter for the pass, or of each row's own.</summary>
internal sealed class Linear(string name, StoredWeight weight)
{
    /// <summary>The module's name in the checkpoint, without ".weight".</summary>
    public string Name { get; } = name;

    /// <summary>[out, in].</summary>
    public StoredWeight Weight { get; } = weight;

    public LoraPair? EncoderLora { get; set; }

    public LoraPair? DecoderLora { get; set; }

    /// <summary>x [..., in] -> [..., out].</summary>
    public Tensor Forward(Tensor x, PassContext context)
    {
        if (context.Adapters is not { Only: null } adapters) return LinearFunction.Project(x, Weight, context, LoraOf(context));
        using var scope = NewDisposeScope();
        Tensor y = LinearFunction.Project(x, Weight, context);
        Tensor inputs = x.reshape(-1, Weight.Shape[1]), outputs = y.view(-1, Weight.Shape[0]);
        foreach ((LoraPair pair, IReadOnlyList<(long, long)> runs) in adapters.OfProjection(Name, context.Pass, inputs.shape[0]))
        {
            (Tensor a, Tensor b) = PreparedDeltas.Of(pair, x.dtype, context.Prepared);
            foreach ((long first, long count) in runs)
            {
                Tensor low = Kernels.Linear(inputs.narrow(0, first, count), a, context.IsBatchInvariant).mul_(pair.Scale);
                Kernels.AddMatMul(outputs.narrow(0, first, count), low, b, context.IsBatchInvariant);
            }
        }
        return y.MoveToOuterDisposeScope();
    }

    /// <summary>The delta of all rows in a pass where they have the same; null: none.</summary>
    public LoraPair? LoraOf(PassContext context) => context.Adapters?.Only is { } only
        ? only.OfProjection(Name, context.Pass)
        : context.Pass == Pass.Encoder ? EncoderLora : DecoderLora;
}
