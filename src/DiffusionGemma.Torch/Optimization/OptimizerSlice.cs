using static TorchSharp.torch;

namespace DiffusionGemma;

/// <summary>What this rank updates of one parameter: <paramref name="Master"/>'s numbers are those of the flattened parameter from <paramref name="First"/> on; there may be none.</summary>
/// <param name="First">Numbers of the parameter before them.</param>
/// <param name="Master">Weights in at least float32.</param>
/// <param name="FirstMoment">AdamW's m.</param>
/// <param name="SecondMoment">AdamW's v.</param>
internal sealed record OptimizerSlice(long First, Tensor Master, Tensor FirstMoment, Tensor SecondMoment);
