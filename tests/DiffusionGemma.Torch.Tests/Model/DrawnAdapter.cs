using static TorchSharp.torch;

namespace DiffusionGemma;

/// <summary>Adapters with an effect that nobody trained: B is drawn too.</summary>
internal static class DrawnAdapter
{
    /// <param name="model">The model that it fits.</param>
    /// <param name="seed">Seed of A and B.</param>
    /// <param name="size">Standard deviation of B.</param>
    /// <param name="options">The adapted modules; null: the default.</param>
    public static LoraAdapter Create(DiffusionGemmaModel model, int seed, double size, LoraOptions? options = null)
    {
        LoraAdapter adapter = LoraAdapter.Create(model, options ?? new LoraOptions { Rank = 2, Alpha = 4 }, seed);
        using IDisposable quiet = no_grad();
        using Generator generator = new(unchecked((ulong)seed), CPU);
        foreach ((_, Tensor tensor) in adapter.Parameters().Where(p => p.Key.EndsWith(".lora_B.weight", StringComparison.Ordinal)))
        {
            using Tensor drawn = empty(tensor.shape, dtype: ScalarType.Float64, device: CPU);
            tensor.copy_(drawn.normal_(0, size, generator));
        }
        return adapter;
    }
}
