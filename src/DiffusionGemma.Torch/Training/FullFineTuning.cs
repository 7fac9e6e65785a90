namespace DiffusionGemma;

/// <summary>The tensors that full fine-tuning trains.</summary>
internal static class FullFineTuning
{
    /// <summary>True for every text tensor but the routers' and the layer scalars.</summary>
    public static bool Trains(string name) =>
        !name.Contains(".router.", StringComparison.Ordinal) && !name.EndsWith(".layer_scalar", StringComparison.Ordinal);
}
