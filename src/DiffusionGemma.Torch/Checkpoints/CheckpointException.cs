namespace DiffusionGemma;

/// <summary>A weight file or checkpoint folder that is not what it should be, or that cannot be read or written.</summary>
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

    /// <summary>The tensor at fault, or null where it is not one alone.</summary>
    public string? Tensor { get; }
}
