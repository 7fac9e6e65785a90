using static TorchSharp.torch;

namespace DiffusionGemma;

/// <summary>A parameter that trains, as this rank has it.</summary>
/// <param name="Name">What it is called in checkpoints of the run.</param>
/// <param name="Value">The tensor: whole, or this rank's part.</param>
/// <param name="Slice">Which part: of experts the owner's.</param>
internal sealed record TrainedParameter(string Name, Tensor Value, ExpertSlice Slice);
