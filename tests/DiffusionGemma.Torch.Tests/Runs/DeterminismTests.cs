using System.Globalization;

namespace DiffusionGemma;

/// <summary>
/// One run in separate processes, on other numbers of threads, workers and ranks, and with other instructions of the processor.
/// </summary>
[Collection(DiffusionGemma.Alone.Name)]
public sealed class DeterminismTests
{
    private static readonly (string, string)[] Avx2 =
    [
        ("DOTNET_EnableAVX512", "0"), ("ATEN_CPU_CAPABILITY", "avx2"), ("ONEDNN_MAX_CPU_ISA", "AVX2"), ("MKL_ENABLE_INSTRUCTIONS", "AVX2"),
    ];

    /// <summary>
    /// In float64 all steps to 1e-10: sums are made in another order. In float32 the first step to 1e-5: later ones part where two experts
    /// tie. The answer of one saved model is the same in both.
    /// </summary>
    [Theory]
    [InlineData("Float64")]
    [InlineData("Float32")]
    public void Threads_workers_and_ranks_change_no_loss_and_no_answer(string dtype)
    {
        (double[] losses, string answer) = Run(1, 1, 1, dtype);
        Assert.Equal((10, 10), (losses.Length, losses.Distinct().Count()));
        foreach ((int threads, int workers, int ranks) in new[] { (2, 1, 1), (3, 2, 1), (1, 1, 2) })
        {
            (double[] again, string other) = Run(threads, workers, ranks, dtype);
            string what = $"{threads} threads, {workers} workers, {ranks} ranks: {Largest(losses, again):0.0e+0}";
            TestContext.Current.TestOutputHelper?.WriteLine(what);
            Assert.True(Math.Abs(losses[0] - again[0]) <= (dtype == "Float64" ? 1e-10 : 1e-5), what);
            if (dtype == "Float64") Assert.True(Largest(losses, again) <= 1e-10, what);
            Assert.Equal(answer, other);
        }
    }

    /// <summary>A processor without AVX-512 sums in another order: the sizes are in docs/reliability.md.</summary>
    [Theory]
    [InlineData("Float64", 1e-10)]
    [InlineData("Float32", 1e-5)]
    public void AVX2_and_AVX_512_differ_by_rounding(string dtype, double most)
    {
        Assert.SkipUnless(System.Runtime.Intrinsics.Vector512.IsHardwareAccelerated, "The processor has no AVX-512.");
        (double[] wide, string wideAnswer) = Run(1, 1, 1, dtype);
        (double[] narrow, string narrowAnswer) = Run(1, 1, 1, dtype, Avx2);
        string what = $"first step {Math.Abs(wide[0] - narrow[0]):0.0e+0}, all {Largest(wide, narrow):0.0e+0}, "
            + $"answers {(wideAnswer == narrowAnswer ? "equal" : "differ")}";
        TestContext.Current.TestOutputHelper?.WriteLine(what);
        Assert.True(Math.Abs(wide[0] - narrow[0]) <= most, what);
        if (dtype == "Float64") Assert.True(Largest(wide, narrow) <= 1e-9, what);
    }

    private static double Largest(double[] a, double[] b) => a.Zip(b, (x, y) => Math.Abs(x - y)).Max();

    private static (double[] Losses, string Answer) Run(
        int threads, int workers, int ranks, string dtype, params (string, string)[] environment)
    {
        ProgramRun run = ProgramRun.Start(
            ProgramRun.Ranks, ["train alone", $"{threads}", $"{workers}", $"{ranks}", dtype], environment)!;
        Assert.True(run.Exit == 0, run.ToString());
        string[] parts = run.Output[(run.Output.IndexOf(": ", StringComparison.Ordinal) + 2)..].Split('|');
        return ([.. parts[0].Trim().Split(' ').Select(text => double.Parse(text, CultureInfo.InvariantCulture))], parts[1].Trim());
    }
}
