using static TorchSharp.torch;

namespace DiffusionGemma;

/// <summary>
/// Selects the experts of each token, in at least float32 also in a bfloat16 model: rounded scores would change the selection.
/// </summary>
internal sealed class Router(Linear projection, Tensor scale, Tensor perExpertScale, int topK, double epsilon)
{
    /// <summary>The projection to the experts' scores, whose weight is widened; only adapters of other tools change it.</summary>
    public Linear Projection => projection;

    /// <summary>
    /// Computes a softmax over all experts; the K largest weights are divided by their sum and multiplied by the experts' own scales.
    /// Gradients reach the hidden states through the weights even where the router's parameters are frozen.
    /// </summary>
    /// <param name="residual">The layer's raw residual [T,H].</param>
    /// <param name="context">The pass.</param>
    /// <returns>Weights [T,K], at least float32; indices [T,K], int64.</returns>
    public (Tensor Weights, Tensor Indices) Forward(Tensor residual, PassContext context)
    {
        ScalarType dtype = residual.dtype.AtLeastFloat32();
        Tensor normed = TorchOperators.RmsNorm(residual.to(dtype), null, epsilon);
        Tensor scaled = normed * scale.to(dtype) * Math.Pow(residual.shape[^1], -0.5);
        Tensor weight = projection.Weight.Tensor!.to(dtype);
        Tensor scores = context.IsBatchInvariant && !is_grad_enabled()
            ? Kernels.Linear(scaled, weight, batchInvariant: true)
            : nn.functional.linear(scaled, weight);
        if (context.Adapters is { Only: null } adapters)
        {
            foreach ((LoraPair pair, IReadOnlyList<(long, long)> runs) in adapters.OfProjection(
                projection.Name, context.Pass, scores.shape[0]))
                foreach ((long first, long count) in runs)
                    scores.narrow(0, first, count).add_(LowRankFunction.Project(scaled.narrow(0, first, count), pair, context));
        }
        else if (projection.LoraOf(context) is { } lora)
        {
            scores += LowRankFunction.Project(scaled, lora, context);
        }
        (Tensor weights, Tensor indices) = scores.softmax(-1).topk(topK, -1);
        return (weights / weights.sum(-1, keepdim: true) * perExpertScale.to(dtype)[indices], indices);
    }
}
