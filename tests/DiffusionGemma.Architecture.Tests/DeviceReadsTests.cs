namespace DiffusionGemma;

/// <summary>
/// Passes, training steps and denoising steps read a device through <see cref="IHostReads"/> alone, so that a test can count what they
/// read. The compiled code is searched for every other way: item(), copies to the CPU, boolean indexing, and operators of libtorch that
/// read sizes on the host.
/// </summary>
public class DeviceReadsTests
{
    private static readonly string[] Folders =
        ["Adapters", "Diffusion", "Generation", "Kernels", "Modeling", "Optimization", "Parallel", "Quantization", "Training"];

    private static readonly HashSet<string> Readers =
    [
        "item", "cpu", "data", "get_Bytes", "get_bytes", "tolist", "ToDouble", "ToSingle", "ToInt32", "ToInt64", "ToBoolean",
        "nonzero", "nonzero_static", "argwhere", "bincount", "histc", "masked_select", "masked_scatter", "unique", "unique_consecutive",
        "repeat_interleave", "count_nonzero", "equal", "allclose", "is_nonzero",
    ];

    /// <summary>Types that read the CPU whatever the model's device is, or outside of steps.</summary>
    private static readonly Dictionary<string, string> Exceptions = new()
    {
        ["ExampleDraws"] = "draws of the host's generator",
        ["EpochOrder"] = "draws of the host's generator",
        ["RowNoise"] = "draws of the host's generator",
        ["ParameterGather"] = "collects weights for files, between steps",
        ["NcclProcessGroup"] = "numbers the ranks of a new group",
        ["UniqueIdExchange"] = "bytes of an identifier",
        ["ModelStack"] = "a number of the configuration, rounded once",
        ["DenoisingLoop"] = "draws of a caller's noise source",
    };

    [Fact]
    public void Steps_read_a_device_through_the_interface_alone()
    {
        var used = new HashSet<string>();
        var found = new List<(string, string)>();
        foreach (SourceType type in SourceTypes.Instance.All.Where(t => t.Project == "DiffusionGemma.Torch" && Folders.Contains(t.Folder)))
            foreach (string read in Reads(type))
            {
                if (Exceptions.ContainsKey(type.Name)) used.Add(type.Name);
                else found.Add((type.Folder, $"{type} calls {read}"));
            }
        Violations.RequireNone("device read", found);
        Assert.Equal(Exceptions.Keys.Order(), used.Order());                                   // none is left over
    }

    /// <summary>The search itself finds what it looks for.</summary>
    [Fact]
    public void The_interface_itself_reads()
    {
        SourceType reads = SourceTypes.Instance.All.Single(type => type.Name == "DeviceReads");
        Assert.Equal(["bincount", "cpu", "data", "nonzero"], Reads(reads).Order());
    }

    private static IEnumerable<string> Reads(SourceType type) =>
        type.Calls.Where(call => call.Assembly == "TorchSharp" && Readers.Contains(call.Method)).Select(call => call.Method);
}
