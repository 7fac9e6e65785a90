using static TorchSharp.torch;

namespace DiffusionGemma;

/// <summary>
/// Folders under tests/fixtures/written that our own code wrote, of numbers that every format holds exactly and no training: byte for byte
/// the same wherever they are written. Others load them with peft and transformers, to see that they can.
/// </summary>
internal static class WrittenFolder
{
    private const string Anew = "DIFFUSIONGEMMA_WRITE_FIXTURES";

    /// <summary>Writes into a temporary folder and compares with the files in the repository.</summary>
    public static void AssertSame(string name, Action<string> write)
    {
        string kept = Fixtures.Path("written", name);
        using TemporaryFolder folder = Fixtures.Temporary(name);
        write(folder.Path);
        if (Environment.GetEnvironmentVariable(Anew) == "1")
        {
            if (Directory.Exists(kept)) Directory.Delete(kept, recursive: true);
            Directory.CreateDirectory(kept);
            foreach (string file in Directory.EnumerateFiles(folder.Path)) File.Copy(file, Path.Combine(kept, Path.GetFileName(file)));
        }

        string advice =
            $"If the change is meant, run this test once with {Anew}=1 to write {kept} anew, and load it with transformers and peft.";
        static string?[] Names(string at) =>
            [.. Directory.EnumerateFileSystemEntries(at).Select(Path.GetFileName).Order(StringComparer.Ordinal)];
        Assert.True(Directory.Exists(kept) && Names(kept).SequenceEqual(Names(folder.Path)),
            $"{kept} holds other files than were written: {string.Join(", ", Names(folder.Path))}. {advice}");
        foreach (string file in Names(kept).OfType<string>())
            Assert.True(File.ReadAllBytes(Path.Combine(kept, file)).AsSpan().SequenceEqual(File.ReadAllBytes(folder.File(file))),
                $"{file} is written differently. {advice}");
    }

    /// <summary>
    /// Overwrites a tensor with multiples of <paramref name="unit"/>, a power of two, between -3 and 3 of it, in a run that repeats every 7
    /// x 11 numbers.
    /// </summary>
    public static void Fill(Tensor tensor, int start, double unit)
    {
        using IDisposable quiet = no_grad();
        using var scope = NewDisposeScope();
        Tensor index = arange(tensor.numel()) + start;
        tensor.copy_(((index.remainder(7) * 5 + index.remainder(11)).remainder(7) - 3).to(ScalarType.Float32).mul(unit).view(tensor.shape));
    }
}
