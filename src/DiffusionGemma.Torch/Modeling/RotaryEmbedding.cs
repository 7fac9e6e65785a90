using static TorchSharp.torch;

namespace DiffusionGemma;

/// <summary>
/// Rotary position embedding of one kind of attention: inv_freq_i = theta^(-2i/D) for the rotated frequencies, and 0 for the others, which
/// pass through (cos 1, sin 0). Computed in at least float32, whatever the model's dtype: in bfloat16, distant positions would round to the
/// same.
/// </summary>
internal sealed class RotaryEmbedding : IDisposable
{
    private readonly Tensor _inverseFrequencies;

    public RotaryEmbedding(LayerShape layer, Device device, ScalarType dtype)
    {
        int half = layer.HeadDim / 2;
        var frequencies = new double[half];
        for (int i = 0; i < layer.Rope.RotatedFrequencies(layer.HeadDim); i++)
            frequencies[i] = Math.Pow(layer.Rope.Theta, -2.0 * i / layer.HeadDim);
        using var scope = NewDisposeScope();
        _inverseFrequencies = tensor(frequencies, dtype.AtLeastFloat32(), device).DetachFromDisposeScope();
    }

    /// <summary>Computes cos and sin, each [B,1,S,D] in <paramref name="dtype"/>, for positions [B,S].</summary>
    public (Tensor Cos, Tensor Sin) Angles(Tensor positions, ScalarType dtype)
    {
        using var scope = NewDisposeScope();
        Tensor angles = positions.unsqueeze(1).unsqueeze(-1).to(_inverseFrequencies.dtype) * _inverseFrequencies;
        angles = cat([angles, angles], -1);
        return (angles.cos().to(dtype).MoveToOuterDisposeScope(), angles.sin().to(dtype).MoveToOuterDisposeScope());
    }

    /// <summary>Computes x · cos + rotate_half(x) · sin for x [B,h,S,D], rotate_half(x) = [-x2 ; x1] on halves.</summary>
    public static Tensor Rotate(Tensor x, (Tensor Cos, Tensor Sin) angles, PassContext context) =>
        RotationFunction.Rotate(x, angles.Cos, angles.Sin, context);

    public void Dispose() => _inverseFrequencies.Dispose();
}
