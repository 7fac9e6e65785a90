using System.Runtime.InteropServices;

namespace DiffusionGemma;

/// <summary>Tests of NCCL's engine that need no GPU.</summary>
public sealed class NcclProcessGroupTests
{
    private static readonly TimeSpan Long = TimeSpan.FromMinutes(5);

    [Fact]
    public void Without_CUDA_or_NCCL_it_says_what_to_install()
    {
        bool runtime = new[] { "libcudart.so.12", "libcudart.so.13", "libcudart.so" }.Any(name => NativeLibrary.TryLoad(name, out _));
        bool nccl = NativeLibrary.TryLoad("libnccl.so.2", out _);
        Assert.SkipWhen(runtime && nccl, "NCCL is installed.");
        DllNotFoundException e = Assert.Throws<DllNotFoundException>(() => NcclProcessGroup.Create([0, 1], Long));
        Assert.Contains(runtime ? "libnccl.so.2" : "libcudart.so.12", e.Message);
        Assert.Contains(runtime ? "install NCCL" : "TorchSharp's CUDA package", e.Message);
    }

    [Fact]
    public void Each_rank_has_a_device_of_its_own()
    {
        foreach (int[] devices in new int[][] { [], [0, 0], [0, -1] })
            Assert.Throws<ArgumentException>(() => NcclProcessGroup.Create(devices, Long));
    }

    [Fact]
    public void Without_a_launcher_it_says_so()
    {
        Assert.SkipWhen(LaunchEnvironment.Read(Environment.GetEnvironmentVariable) is not null, "A launcher started the tests.");
        string message = Assert.Throws<InvalidOperationException>(() => NcclProcessGroup.World(Long, MpiProcessGroup.World)).Message;
        Assert.Contains("torchrun", message);
    }

    /// <summary>Covers everything but NCCL itself: a small C library replaces it and CUDA's runtime, in a process of its own.</summary>
    [Fact]
    public void Over_a_stand_in_of_NCCL_it_does_what_an_engine_must()
    {
        using TemporaryFolder folder = Fixtures.Temporary();
        string source = Path.Combine(AppContext.BaseDirectory, "nccl_standin.c");
        string runtime = folder.File("libcudart.so.12"), nccl = folder.File("libnccl.so.2");
        foreach (string[] arguments in new string[][] { ["-DRUNTIME", source, "-o", runtime], [source, runtime, "-o", nccl] })
        {
            ProgramRun? compiled = ProgramRun.Start("cc", ["-O1", "-Wall", "-Werror", "-shared", "-fPIC", "-pthread", .. arguments]);
            Assert.SkipWhen(!OperatingSystem.IsLinux() || compiled is null, "The stand-in needs Linux and a C compiler.");
            Assert.True(compiled.Exit == 0, compiled.ToString());
        }
        ProgramRun run = ProgramRun.Start(ProgramRun.Ranks, ["nccl"], ("LD_LIBRARY_PATH", Path.GetDirectoryName(nccl)!))!;
        Assert.True(run.Exit == 0 && run.Output.Contains("200 well", StringComparison.Ordinal), run.ToString());
    }

    /// <summary>As nccl.h of 2.19 lays them out on 64 bits: 8 + 2·4 + 4·4 + 8 + 4, and 4 to align.</summary>
    [Fact]
    public unsafe void Structures_have_the_library_s_sizes()
    {
        Assert.Equal(48, sizeof(NcclLibrary.Config));
        Assert.Equal(128, sizeof(NcclLibrary.UniqueId));
        Assert.Equal(48u, NcclLibrary.NonBlocking.Size);
        Assert.Equal(24, sizeof(MpiLibrary.Status));
    }
}
