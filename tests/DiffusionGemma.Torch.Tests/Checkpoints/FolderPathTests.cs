namespace DiffusionGemma;

public sealed class FolderPathTests
{
    [Fact]
    public void Links_lead_to_the_same_folder_wherever_they_stand_in_the_path()
    {
        using TemporaryFolder folder = Fixtures.Temporary();
        string real = Directory.CreateDirectory(folder.File("real/inner")).FullName;
        Directory.CreateDirectory(folder.File("real/other"));
        Directory.CreateSymbolicLink(folder.File("link"), "real");
        Directory.CreateSymbolicLink(folder.File("again"), folder.File("link"));
        Directory.CreateSymbolicLink(folder.File("deep"), folder.File("again/inner"));
        Directory.CreateSymbolicLink(folder.File("circle"), folder.File("round"));
        Directory.CreateSymbolicLink(folder.File("round"), folder.File("circle"));
        string[] same = ["real/inner/", "real/../link/inner", "again/inner", "deep"];
        Assert.All(same, path => Assert.True(FolderPath.AreSame(real, folder.File(path)), path));
        // The last is not there yet, below a folder that is reached in two ways.
        Assert.True(FolderPath.AreSame(folder.File("real/new"), folder.File("again/new")));
        string[] others = ["real", "real/other", "link/new", "circle", "circle/inner"];
        Assert.All(others, path => Assert.False(FolderPath.AreSame(real, folder.File(path)), path));
    }
}
