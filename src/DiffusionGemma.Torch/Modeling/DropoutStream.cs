using static TorchSharp.torch;

namespace DiffusionGemma;

/// <summary>
/// Dropout masks of one pass, drawn one after the other by a CPU generator of its own: not by the process's one generator, which ranks and
/// workers would share.
/// </summary>
/// <param name="probability">Probability with which an input is dropped, in (0,1).</param>
/// <param name="seed">Seed of the generator.</param>
internal sealed class DropoutStream(double probability, long seed) : IDisposable
{
    private readonly Generator _generator = new(unchecked((ulong)seed), CPU);

    /// <summary>Probability with which an input is dropped.</summary>
    public double Probability => probability;

    /// <summary>Draws which elements of a tensor of this shape are kept, bool.</summary>
    public Tensor DrawKept(long[] shape, Device device)
    {
        using var scope = NewDisposeScope();
        return HostCopy.Send(HostDraws.Uniforms(_generator, shape).ge(probability), device).MoveToOuterDisposeScope();
    }

    public void Dispose() => _generator.Dispose();
}
