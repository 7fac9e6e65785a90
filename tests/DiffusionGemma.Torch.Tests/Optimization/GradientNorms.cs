using static TorchSharp.torch;

namespace DiffusionGemma;

/// <summary>Clips gradients by the norm over all ranks, as a training step does.</summary>
internal static class GradientNorms
{
    /// <summary>Sums the squares over all ranks, and clips. A collective.</summary>
    /// <returns>The norm.</returns>
    public static double Clip(this AdamW optimizer, IProcessGroup world, double maximum)
    {
        using Tensor squares = optimizer.SquaredNorm();
        world.AllReduce(squares);
        return optimizer.ClipGradients(squares.item<double>(), maximum);
    }
}
