namespace DiffusionGemma;

/// <summary>Name, length and digests of a file in a checkpoint folder.</summary>
/// <param name="Name">The file's name in the folder.</param>
/// <param name="Length">Its length in bytes.</param>
/// <param name="Sample">
/// SHA-256 in hexadecimal of all bytes; of a weight file with more than 1 MiB of tensors: of its header and 1 MiB of them, evenly.
/// </param>
/// <param name="Whole">SHA-256 of all bytes; null: such a weight file came without digests.</param>
public sealed record CheckpointFile(string Name, long Length, string Sample, string? Whole);
