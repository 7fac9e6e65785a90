using System.IO.Compression;
using System.Runtime.CompilerServices;

namespace DiffusionGemma;

/// <summary>Folders of the tests' files: below the repository's root, found from where the test assembly runs.</summary>
internal static class Fixtures
{
    public static string Root { get; } = FindRoot();

    /// <summary>A file or folder of tests/fixtures; `tiny-chat` is the checkpoint of datasets/.</summary>
    public static string Path(params string[] parts) => System.IO.Path.Combine([Root, "tests", "fixtures", .. parts]);

    /// <summary>The text of a file of tests/fixtures that is kept as NAME.gz, which is a tenth as large.</summary>
    public static string Text(params string[] parts)
    {
        using var file = new GZipStream(File.OpenRead(Path(parts) + ".gz"), CompressionMode.Decompress);
        using var reader = new StreamReader(file);
        return reader.ReadToEnd();
    }

    /// <summary>The folder of a small checkpoint by its name.</summary>
    public static string Checkpoint(string name) =>
        name == "tiny-chat" ? System.IO.Path.Combine(Root, "datasets", "tiny-chat") : Path("checkpoints", name);

    /// <summary>A new empty folder for one test; deleted by the caller's <see cref="TemporaryFolder.Dispose"/>.</summary>
    public static TemporaryFolder Temporary([CallerMemberName] string name = "") => new(name);

    private static string FindRoot()
    {
        for (DirectoryInfo? at = new(AppContext.BaseDirectory); at is not null; at = at.Parent)
            if (File.Exists(System.IO.Path.Combine(at.FullName, "DiffusionGemma.MLNet.sln")))
                return at.FullName;
        throw new DirectoryNotFoundException(
            $"No folder above {AppContext.BaseDirectory} holds DiffusionGemma.MLNet.sln: run the tests from a checkout.");
    }
}

internal sealed class TemporaryFolder : IDisposable
{
    public TemporaryFolder(string name) =>
        Path = Directory.CreateDirectory(System.IO.Path.Combine(System.IO.Path.GetTempPath(), $"dg-{name}-{Guid.NewGuid():N}")).FullName;

    public string Path { get; }

    public string File(string name) => System.IO.Path.Combine(Path, name);

    public void Dispose() => Directory.Delete(Path, recursive: true);
}
