namespace DiffusionGemma.Samples;

/// <summary>Finds the repository that a sample runs from.</summary>
internal static class Repository
{
    /// <summary>A file or folder of the repository by its parts.</summary>
    public static string File(params string[] parts)
    {
        for (DirectoryInfo? at = new(AppContext.BaseDirectory); at is not null; at = at.Parent)
            if (System.IO.File.Exists(Path.Combine(at.FullName, "DiffusionGemma.MLNet.sln")))
                return Path.Combine([at.FullName, .. parts]);
        return Path.Combine([Environment.CurrentDirectory, .. parts]);
    }
}
