using static TorchSharp.torch;

namespace DiffusionGemma;

/// <summary>
/// Random numbers on the CPU in a stated dtype: left to the process's default dtype and device, they would be other numbers, or elsewhere.
/// </summary>
internal static class HostDraws
{
    public static Generator Generator(ulong seed) => new(seed, CPU);

    /// <summary>Draws float32 numbers in [0,1).</summary>
    public static Tensor Uniforms(Generator generator, params long[] shape) =>
        rand(shape, dtype: ScalarType.Float32, device: CPU, generator: generator);

    /// <summary>Draws int64 numbers in [0, <paramref name="end"/>).</summary>
    public static Tensor Integers(Generator generator, long end, params long[] shape) =>
        randint(0, end, shape, dtype: ScalarType.Int64, device: CPU, generator: generator);

    /// <summary>Draws an order of the numbers below <paramref name="count"/>, int64.</summary>
    public static Tensor Permutation(Generator generator, long count) =>
        randperm(count, dtype: ScalarType.Int64, device: CPU, generator: generator);
}
