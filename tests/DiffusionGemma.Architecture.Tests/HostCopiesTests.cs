using System.Text.RegularExpressions;

namespace DiffusionGemma;

/// <summary>
/// A tensor of the host's numbers that is made on a GPU directly is copied by a call that waits for all work before it. In passes and steps
/// such copies go through HostCopy, which does not wait.
/// </summary>
public partial class HostCopiesTests
{
    private static readonly string[] Folders = ["Adapters", "Diffusion", "Generation", "Kernels", "Modeling", "Optimization", "Training"];

    /// <summary>Files that make tensors on a device outside of passes, or where ranks wait for each other anyway.</summary>
    private static readonly Dictionary<string, string> Exceptions = new()
    {
        ["RotaryEmbedding.cs"] = "once, with the model",
        ["ExpertExchange.cs"] = "ranks that exchange rows read their counts",
        ["ParameterGather.cs"] = "collects weights for files, between steps",
        ["CanvasDistributions.cs"] = "the form that reads a few rows at a time, of the CPU",
    };

    [Fact]
    public void Passes_copy_from_the_host_without_waiting()
    {
        var used = new HashSet<string>();
        var found = new List<(string, string)>();
        string root = Path.Combine(Fixtures.Root, "src", "DiffusionGemma.Torch");
        foreach (string file in Folders.SelectMany(folder =>
            Directory.EnumerateFiles(Path.Combine(root, folder), "*.cs", SearchOption.AllDirectories)))
            foreach (string line in File.ReadLines(file).Where(line => OnDevice().IsMatch(line)
                && !line.Contains("HostCopy.Send(", StringComparison.Ordinal) && !line.Contains("device: CPU", StringComparison.Ordinal)))
            {
                if (Exceptions.ContainsKey(Path.GetFileName(file))) used.Add(Path.GetFileName(file));
                else found.Add((Path.GetRelativePath(root, file), $"{Path.GetFileName(file)}: {line.Trim()}"));
            }
        Violations.RequireNone("copy that waits for a device", found);
        Assert.Equal(Exceptions.Keys.Order(), used.Order());                                   // none is left over
    }

    /// <summary>A call of torch.tensor whose arguments name a device.</summary>
    [GeneratedRegex(@"(?<![\w.])tensor\(.*[dD]evice")]
    private static partial Regex OnDevice();
}
