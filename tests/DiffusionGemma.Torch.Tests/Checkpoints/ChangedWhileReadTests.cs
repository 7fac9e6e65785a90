using static TorchSharp.torch;

namespace DiffusionGemma;

/// <summary>Weights that another program deletes, cuts short or changes while they are open.</summary>
public sealed class ChangedWhileReadTests : TorchTest
{
    private readonly TemporaryFolder _folder = Fixtures.Temporary("changed");

    private string Path => _folder.File("weights.safetensors");

    public override void Dispose()
    {
        _folder.Dispose();
        base.Dispose();
    }

    [Fact]
    public void A_file_that_was_deleted_or_replaced_is_read_as_it_was()
    {
        using SafetensorsFile file = Open();
        SafetensorsFile.Write(Path, new Dictionary<string, Tensor> { ["a"] = zeros(4) });        // as every writer here: by renaming
        Assert.Equal(7f, file.Read("a").sum().item<float>() / Elements);
        Assert.SkipWhen(OperatingSystem.IsWindows(), "Windows keeps the name of a file that is open.");
        File.Delete(Path);
        Assert.Equal(7f, file.Read("b").sum().item<float>() / Elements);
    }

    /// <summary>Reading beyond the end of a mapped file would end the process.</summary>
    [Fact]
    public void A_file_that_was_cut_short_is_an_error()
    {
        using SafetensorsFile file = Open();
        using (FileStream other = Writable()) other.SetLength(other.Length / 2);
        var error = Assert.Throws<CheckpointException>(() => file.Read("b"));
        Assert.Equal(Path, error.CheckpointPath);
        Assert.Contains("by another program while it was open", error.Message, StringComparison.Ordinal);
        Assert.Throws<CheckpointException>(() => file.Map("a"));
    }

    [Fact]
    public void A_file_that_was_written_to_is_an_error()
    {
        using SafetensorsFile file = Open();
        Assert.Equal(7f, file.Read("a").sum().item<float>() / Elements);
        using (FileStream other = Writable())
        {
            other.Seek(-1, SeekOrigin.End);
            other.WriteByte(3);
        }
        File.SetLastWriteTimeUtc(Path, File.GetLastWriteTimeUtc(Path).AddSeconds(1));             // clocks of disks may be coarse
        var error = Assert.Throws<CheckpointException>(() => file.Read("b"));
        Assert.Contains("was changed by another program while it was read", error.Message, StringComparison.Ordinal);
        Assert.Contains(Path, error.Message, StringComparison.Ordinal);
    }

    private const int Elements = 100_000;

    private SafetensorsFile Open()
    {
        SafetensorsFile.Write(Path, new Dictionary<string, Tensor> { ["a"] = full(Elements, 7f), ["b"] = full(Elements, 7f) });
        return SafetensorsFile.Open(Path);
    }

    private FileStream Writable() => new(Path, FileMode.Open, FileAccess.ReadWrite, FileShare.ReadWrite | FileShare.Delete);
}
