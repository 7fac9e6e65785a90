using static TorchSharp.torch;

namespace DiffusionGemma;

/// <summary>This rank's share of one parameter's optimizer state, a range of the flattened parameter; it may be empty.</summary>
/// <param name="First">Index of the first element.</param>
/// <param name="Master">Weights in at least float32.</param>
/// <param name="FirstMoment">AdamW's m.</param>
/// <param name="SecondMoment">AdamW's v.</param>
internal sealed record OptimizerSlice(long First, Tensor Master, Tensor FirstMoment, Tensor SecondMoment);
