using TorchSharp;
using static TorchSharp.torch;

namespace DiffusionGemma;

/// <summary>
/// Everything that a pass reads back from its device: numbers that decide shapes and splits (rows of each expert, positions of real
/// tokens), losses, and what denoising needs of the distributions. On CUDA each read waits for the device: there a training step on one
/// device reads once, and so does a denoising step of rows without grammars; experts on several ranks, and in another dtype than bfloat16,
/// read the counts of their rows in every layer.
/// </summary>
internal interface IHostReads
{
    /// <summary>Returns the reads of a device: its values, or on <c>meta</c>, which has none, values that fit the shapes.</summary>
    static IHostReads For(Device device) => device.type == DeviceType.META ? new MetaReads() : new DeviceReads();

    /// <summary>Counts how often each of the numbers 0 to <paramref name="classes"/> - 1 occurs.</summary>
    /// <param name="ids">[n] int64.</param>
    /// <param name="classes">How many numbers there are.</param>
    /// <returns>[classes], n in all.</returns>
    long[] CountsOf(Tensor ids, long classes);

    /// <summary>Finds the places of true elements.</summary>
    /// <param name="mask">bool, of any shape.</param>
    /// <returns>[n] int64, on the mask's device: places in the flattened mask, ascending.</returns>
    Tensor IndicesOf(Tensor mask);

    /// <summary>Reads numbers.</summary>
    /// <param name="values">Any shape and dtype that float64 holds exactly.</param>
    /// <returns>The elements in their order.</returns>
    double[] Numbers(Tensor values);

    /// <summary>Reads a whole tensor.</summary>
    /// <param name="values">Any shape and dtype.</param>
    /// <returns>A contiguous tensor on the CPU: the same one where it is that already.</returns>
    Tensor OnHost(Tensor values);
}
