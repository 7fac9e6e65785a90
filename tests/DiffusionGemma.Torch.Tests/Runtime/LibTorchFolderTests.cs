namespace DiffusionGemma;

/// <summary>libtorch from a folder, in processes of their own: the libraries are TorchSharp-cpu's, linked elsewhere.</summary>
public sealed class LibTorchFolderTests : IDisposable
{
    private const string Variable = "DIFFUSIONGEMMA_LIBTORCH";

    private readonly TemporaryFolder _folder = Fixtures.Temporary();

    public LibTorchFolderTests()
    {
        if (!OperatingSystem.IsLinux()) Assert.Skip("The tests link libraries by their names on Linux.");
    }

    public void Dispose() => _folder.Dispose();

    [Fact]
    public void An_application_without_libtorch_takes_it_from_a_folder()
    {
        string program = ProgramWithoutLibTorch(), libraries = Libraries("torch/lib");
        string named = Run(program, ["use", Checkpoint, libraries, Path.GetDirectoryName(libraries)!]);
        string variable = Run(program, ["use", Checkpoint], (Variable, Path.GetDirectoryName(libraries)!));
        foreach (string output in new[] { named, variable })
        {
            Assert.Contains($"Backend: libtorch 2.10.0, from {libraries}, self-test passed", output, StringComparison.Ordinal);
            Assert.Contains($"loaded {Path.Combine(program, "libLibTorchSharp.so")}", output, StringComparison.Ordinal);
            Assert.DoesNotContain("Exception", output, StringComparison.Ordinal);
            Assert.Equal(Answer(Run(AppContext.BaseDirectory, ["use", Checkpoint])), Answer(output));
        }
    }

    [Theory]
    [InlineData("libtorch_cpu.so")]
    [InlineData("libtorch_cuda.so")]
    public void An_application_with_a_libtorch_of_its_own_is_refused(string own)
    {
        string program = ProgramWithoutLibTorch(), libraries = Libraries("torch/lib");
        File.Copy(Own("libtorch.so"), Path.Combine(program, own));                              // small, and a library
        string output = Run(program, ["describe", Checkpoint], (Variable, libraries));
        Assert.Contains($"the application brings a libtorch of its own, {Path.Combine(program, own)}", output, StringComparison.Ordinal);
        Assert.Contains("Publish it without the package TorchSharp-cpu", output, StringComparison.Ordinal);
        Assert.DoesNotContain("loaded /", output, StringComparison.Ordinal);
    }

    [Fact]
    public void An_application_without_libtorch_says_what_to_do()
    {
        string output = Run(ProgramWithoutLibTorch(), ["describe", Checkpoint]);
        Assert.Contains("Backend: not loaded.", output, StringComparison.Ordinal);
        Assert.Contains("TorchSharp-cpu", output, StringComparison.Ordinal);
        Assert.Contains(Variable, output, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("version.py", "from typing import Optional\n__version__ = '2.13.0+cu130'\ndebug = False\n", "2.13.0")]
    [InlineData("build-version", "2.9.1+cpu\n", "2.9.1")]
    public void Another_version_is_refused_before_it_is_loaded(string file, string text, string version)
    {
        string libraries = Libraries("torch/lib");
        File.WriteAllText(Path.Combine(_folder.Path, "torch", file), text);
        string output = Run(AppContext.BaseDirectory, ["describe", Checkpoint], (Variable, libraries));
        Assert.Contains($"Backend: not loaded. {Variable}={libraries}: the libtorch in {libraries} is version {version}", output,
            StringComparison.Ordinal);
        Assert.Contains("2.10 and 2.11", output, StringComparison.Ordinal);
        Assert.DoesNotContain("loaded /", output, StringComparison.Ordinal);
    }

    [Fact]
    public void A_library_that_states_no_version_is_refused_and_the_process_says_so_again()
    {
        string libraries = Libraries("old");
        File.Delete(Path.Combine(libraries, "libtorch_cpu.so"));
        // libc10 loads, and has no version: so has every libtorch before 2.10.
        File.Copy(Own("libc10.so"), Path.Combine(libraries, "libtorch_cpu.so"));
        string output = Run(ProgramWithoutLibTorch(), ["use", Checkpoint, libraries]);
        Assert.Equal(2, output.Split('\n').Count(line => line.StartsWith("PlatformNotSupportedException", StringComparison.Ordinal)
            && line.Contains("is older than 2.10", StringComparison.Ordinal)));
        Assert.Contains("Backend: not loaded.", output, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("libc10.so")]
    [InlineData("libtorch_cpu.so")]
    [InlineData("libtorch.so")]
    public void A_missing_library_is_named_and_another_folder_may_follow(string missing)
    {
        string good = Libraries("good"), bad = Libraries("bad");
        File.Delete(Path.Combine(bad, missing));
        string output = Run(AppContext.BaseDirectory, ["use", Checkpoint, bad, Path.Combine(_folder.Path, "none"), good]);
        Assert.Contains($"FileNotFoundException: UseLibTorch(\"{bad}\"): {bad} has no {missing}.", output, StringComparison.Ordinal);
        Assert.Contains($"DirectoryNotFoundException: UseLibTorch(\"{_folder.File("none")}\"): there is no folder", output,
            StringComparison.Ordinal);
        Assert.Contains($"from {good}, self-test passed", output, StringComparison.Ordinal);
    }

    [Fact]
    public void A_file_that_is_no_library_is_refused()
    {
        string libraries = Libraries("broken");
        File.Delete(Path.Combine(libraries, "libtorch.so"));
        File.WriteAllText(Path.Combine(libraries, "libtorch.so"), "text");
        string output = Run(AppContext.BaseDirectory, ["describe", Checkpoint], (Variable, libraries));
        Assert.Contains($"{Path.Combine(libraries, "libtorch.so")} cannot be loaded", output, StringComparison.Ordinal);
    }

    [Fact]
    public void A_call_that_comes_too_late_changes_nothing()
    {
        string libraries = Libraries("late");
        string output = Run(AppContext.BaseDirectory, ["late", Checkpoint, libraries]);
        Assert.Contains($"InvalidOperationException: UseLibTorch(\"{libraries}\") comes too late: this process has loaded ", output,
            StringComparison.Ordinal);
        Assert.Equal(Answer(Run(AppContext.BaseDirectory, ["use", Checkpoint])), Answer(output));
    }

    /// <summary>The setting reaches libtorch's own environment, beside what was set before; without a GPU nothing comes of it.</summary>
    [Theory]
    [InlineData("PYTORCH_CUDA_ALLOC_CONF", "", "per_process_memory_fraction:0.25")]
    [InlineData("PYTORCH_CUDA_ALLOC_CONF", "expandable_segments:True,per_process_memory_fraction:0.9",
        "expandable_segments:True,per_process_memory_fraction:0.25")]
    [InlineData("PYTORCH_ALLOC_CONF", "max_split_size_mb:128", "max_split_size_mb:128,per_process_memory_fraction:0.25")]
    public void Memory_of_GPUs_is_limited_before_libtorch_is_loaded(string variable, string value, string expected)
    {
        string output = Run(AppContext.BaseDirectory, ["limit", Checkpoint, variable], (variable, value));
        Assert.Contains($"libraries see {expected}\n", output, StringComparison.Ordinal);
        Assert.Contains($"GPU memory of this process: limited by {variable}=per_process_memory_fraction:0.25", output,
            StringComparison.Ordinal);
        Assert.Contains("InvalidOperationException: LimitGpuMemory(0.5) comes too late: this process has loaded ", output,
            StringComparison.Ordinal);
        Assert.StartsWith("answer ", Answer(output), StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(0)]
    [InlineData(-0.5)]
    [InlineData(1.01)]
    [InlineData(double.NaN)]
    public void A_part_of_the_memory_is_above_0_and_at_most_1(double fraction) =>
        Assert.Throws<ArgumentOutOfRangeException>(() => DiffusionGemmaRuntime.LimitGpuMemory(fraction));

    private static string Checkpoint => Fixtures.Checkpoint("tiny-2layer");

    private static string Own(string library) => Path.Combine(AppContext.BaseDirectory, library);

    private static string Answer(string output) =>
        Assert.Single(output.Split('\n'), line => line.StartsWith("answer ", StringComparison.Ordinal));

    private static string Run(string program, string[] arguments, params (string Name, string Value)[] environment)
    {
        ProgramRun run = ProgramRun.Start(
            Path.Combine(program, "DiffusionGemma.Ranks"), ["libtorch", .. arguments],
            environment.Length > 0 ? environment : [(Variable, "")])!;
        Assert.True(run.Exit == 0, run.ToString());
        return run.Output;
    }

    /// <summary>A folder of links to the libraries of libtorch.</summary>
    private string Libraries(string name)
    {
        string folder = Directory.CreateDirectory(Path.Combine(_folder.Path, name)).FullName;
        foreach (string file in Directory.GetFiles(AppContext.BaseDirectory, "lib*.so*").Where(IsLibTorch))
            File.CreateSymbolicLink(Path.Combine(folder, Path.GetFileName(file)), file);
        return folder;
    }

    /// <summary>The program as an application that was published without a backend.</summary>
    private string ProgramWithoutLibTorch()
    {
        string folder = Directory.CreateDirectory(Path.Combine(_folder.Path, "program")).FullName;
        string[] kinds = [".dll", ".so", ".runtimeconfig.json"];
        foreach (string file in Directory.GetFiles(AppContext.BaseDirectory))
        {
            string name = Path.GetFileName(file);
            bool isNeeded = name == "DiffusionGemma.Ranks" || kinds.Any(kind => name.EndsWith(kind, StringComparison.Ordinal));
            if (isNeeded && !IsLibTorch(file)) File.Copy(file, Path.Combine(folder, name));
        }
        return folder;
    }

    private static bool IsLibTorch(string file) =>
        Path.GetFileName(file) is var name && name.StartsWith("lib", StringComparison.Ordinal)
            && name.Contains(".so", StringComparison.Ordinal) && name != "libLibTorchSharp.so";
}
