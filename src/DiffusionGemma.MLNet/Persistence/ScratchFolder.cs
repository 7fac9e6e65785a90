namespace DiffusionGemma;

/// <summary>A folder of the system's temporary files, removed with all that is in it.</summary>
internal sealed class ScratchFolder : IDisposable
{
    public string Path { get; } = Directory.CreateTempSubdirectory("diffusiongemma-").FullName;

    public void Dispose() => Directory.Delete(Path, recursive: true);
}
