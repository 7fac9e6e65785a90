using static TorchSharp.torch;

namespace DiffusionGemma;

/// <summary>A parameter that trains, as this rank holds it.</summary>
/// <param name="Name">Its name in checkpoints of the run.</param>
/// <param name="Value">The tensor: whole, or this rank's part.</param>
/// <param name="Slice">The split of the whole tensor over ranks.</param>
internal sealed record TrainedParameter(string Name, Tensor Value, ExpertSlice Slice);
