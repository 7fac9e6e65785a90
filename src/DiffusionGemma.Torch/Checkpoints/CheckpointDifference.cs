namespace DiffusionGemma;

/// <summary>A file of a checkpoint folder that is not as its digests say.</summary>
/// <param name="Name">The file's name in the folder.</param>
/// <param name="Problem">What is wrong, as the end of a sentence that begins with the folder.</param>
public sealed record CheckpointDifference(string Name, string Problem);
