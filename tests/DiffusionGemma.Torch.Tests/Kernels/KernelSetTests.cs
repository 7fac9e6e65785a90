using System.Diagnostics;

namespace DiffusionGemma;

/// <summary>The set of kernels is chosen once a process: these tests start this program again with the variable set.</summary>
public class KernelSetTests
{
    /// <summary>Classes that reach every method of <see cref="Kernels"/>: operators, layers, losses, denoising, adapters.</summary>
    private static readonly Type[] AtTheDoor =
    [
        typeof(KernelsTests), typeof(StoredRowsTests), typeof(HeadLossTests), typeof(LayerFunctionsTests), typeof(ExpertsTests),
        typeof(EmbeddingTableTests), typeof(ForwardFixtureTests), typeof(CanvasHeadTests), typeof(ActivationCheckpointingTests),
        typeof(GenerationFixtureTests), typeof(AdapterFixtureTests),
    ];

    [Fact]
    public async Task Tests_that_reach_the_door_pass_on_libtorchs_operators_too()
    {
        Assert.SkipWhen(Kernels.Set == KernelSet.LibTorch, "This process itself runs them on libtorch's operators.");
        (int exit, string output) = await Run(nameof(KernelSet.LibTorch), AtTheDoor);
        Assert.True(exit == 0 && output.Contains("Failed: 0", StringComparison.Ordinal), output);
        Assert.DoesNotContain("Total: 0", output, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Another_value_is_refused_by_the_variables_name_and_with_what_there_is()
    {
        (int exit, string output) = await Run("avx", [typeof(ForwardFixtureTests), typeof(EmbeddingTableTests)]);
        Assert.NotEqual(0, exit);
        Assert.Contains("System.InvalidOperationException : The environment variable DIFFUSIONGEMMA_KERNELS is 'avx'", output,
            StringComparison.Ordinal);
        Assert.Contains("Set it to Managed or LibTorch", output, StringComparison.Ordinal);
        Assert.DoesNotContain(nameof(TypeInitializationException), output, StringComparison.Ordinal);
    }

    private static async Task<(int Exit, string Output)> Run(string value, Type[] classes)
    {
        string[] arguments = [.. classes.SelectMany(c => new[] { "-class", c.FullName! }), "-noColor"];
        var start = new ProcessStartInfo(Environment.ProcessPath!, arguments)
        {
            RedirectStandardOutput = true, RedirectStandardError = true, Environment = { [Kernels.Variable] = value },
        };
        using Process process = Process.Start(start)!;
        Task<string> errors = process.StandardError.ReadToEndAsync(), output = process.StandardOutput.ReadToEndAsync();
        await process.WaitForExitAsync(TestContext.Current.CancellationToken);
        return (process.ExitCode, await output + await errors);
    }
}
