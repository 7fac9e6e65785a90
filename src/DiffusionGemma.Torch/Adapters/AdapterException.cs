namespace DiffusionGemma;

/// <summary>Thrown for an adapter folder that cannot be read, does not fit the model, or uses settings that are not supported.</summary>
public sealed class AdapterException : IOException
{
    /// <summary>An error with its message: the file, the tensor or setting at fault, and what to do.</summary>
    public AdapterException(string message, Exception? inner = null)
        : base(message, inner)
    {
    }
}
