namespace DiffusionGemma;

/// <summary>The exception for a weight file or checkpoint folder that is invalid or cannot be read or written.</summary>
public sealed class CheckpointException : IOException
{
    internal CheckpointException(string path, string problem, Exception? inner = null)
        : base($"{path}: {problem}", inner) => CheckpointPath = path;

    internal CheckpointException(string path, string tensor, string problem)
        : base($"{path}: tensor {tensor} {problem}")
    {
        CheckpointPath = path;
        Tensor = tensor;
    }

    /// <summary>The file or folder at fault.</summary>
    public string CheckpointPath { get; }

    /// <summary>The tensor at fault, or null if it is not a single one.</summary>
    public string? Tensor { get; }
}
