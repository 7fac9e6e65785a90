namespace DiffusionGemma;

/// <summary>Files that belong to this test project alone.</summary>
internal static class TestFiles
{
    public static string Path(params string[] parts) =>
        System.IO.Path.Combine([Fixtures.Root, "tests", "DiffusionGemma.Text.Tests", .. parts]);
}
