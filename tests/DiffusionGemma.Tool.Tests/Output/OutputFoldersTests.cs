namespace DiffusionGemma.Output;

public sealed class OutputFoldersTests
{
    /// <summary>The same command is given again after a kill.</summary>
    [Fact]
    public void A_folder_that_a_killed_writer_left_is_free()
    {
        using TemporaryFolder folder = Fixtures.Temporary();
        string output = folder.File("out");
        OutputFolders.RequireFree(output);
        Directory.CreateDirectory(Path.Combine(output, ".saving-1", "new"));
        File.WriteAllText(Path.Combine(output, ".saving-1", "new", "model.safetensors"), "half");
        OutputFolders.RequireFree(output);
        Assert.Contains($"hidden in {output}", OutputFolders.Stopped(output), StringComparison.Ordinal);
        Assert.DoesNotContain("hidden", OutputFolders.Stopped(folder.Path), StringComparison.Ordinal);
    }

    [Fact]
    public void Other_files_are_named()
    {
        using TemporaryFolder folder = Fixtures.Temporary();
        Directory.CreateDirectory(folder.File(".saving-1"));
        File.WriteAllText(folder.File("notes.txt"), "mine");
        Assert.Contains("holds files already", Assert.Throws<ToolException>(() => OutputFolders.RequireFree(folder.Path)).Message,
            StringComparison.Ordinal);
    }
}
