namespace DiffusionGemma;

/// <summary>Name and fingerprint of the checkpoint that a saved model needs.</summary>
/// <param name="Path">The folder's full path where the model was trained.</param>
/// <param name="Fingerprint">Tells it from other checkpoints.</param>
public sealed record CheckpointReference(string Path, string Fingerprint)
{
    /// <summary>The folder's own name, whichever system the path comes from.</summary>
    public string Name => Path.Split('/', '\\').Last(part => part.Length > 0);
}
