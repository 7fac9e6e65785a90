using System.Diagnostics;

namespace DiffusionGemma.Benchmarks;

/// <summary>
/// Runs this program again as a processor with fewer instructions would: .NET's, ATen's, oneDNN's and MKL's limits are set together.
/// </summary>
internal static class InstructionSets
{
    /// <summary>The limits' values by the name that <c>--isa</c> is given.</summary>
    private static readonly Dictionary<string, Dictionary<string, string>> Limits = new()
    {
        ["avx2"] = new()
        {
            ["DOTNET_EnableAVX512"] = "0", ["ATEN_CPU_CAPABILITY"] = "avx2", ["ONEDNN_MAX_CPU_ISA"] = "AVX2",
            ["MKL_ENABLE_INSTRUCTIONS"] = "AVX2",
        },
        // No bfloat16 units, but AVX-512.
        ["avx512"] = new() { ["ONEDNN_MAX_CPU_ISA"] = "AVX512_CORE" },
    };

    public static IEnumerable<string> Names => Limits.Keys;

    /// <summary>Starts this program within a limit, which its own children inherit.</summary>
    /// <param name="name">One of <see cref="Names"/>.</param>
    /// <param name="arguments">The child's.</param>
    /// <returns>Its exit code.</returns>
    public static int RunWithin(string name, IEnumerable<string> arguments)
    {
        var start = new ProcessStartInfo(Environment.ProcessPath!, arguments);
        foreach ((string variable, string value) in Limits[name]) start.Environment[variable] = value;
        using Process process = Process.Start(start)!;
        process.WaitForExit();
        return process.ExitCode;
    }
}
