using System.ComponentModel;
using System.Diagnostics;
using System.Runtime.InteropServices;
using static TorchSharp.torch;

namespace DiffusionGemma.Gpu;

/// <summary>
/// Stage 4: the collectives over the device's own NCCL with one rank, and what two ranks on one device are answered. On a CPU the same
/// calls run over the stand-in of NCCL's interface that the tests use, in a process of its own.
/// </summary>
internal static class NcclStage
{
    private static readonly TimeSpan Timeout = TimeSpan.FromMinutes(1), TwoRanksTimeout = TimeSpan.FromSeconds(15);

    public static void Run(GpuOptions options, GpuReport report)
    {
        if (options.IsCpu)
        {
            StandIn(report);
            return;
        }
        DiffusionGemmaRuntime.EnsureUsable(options.Device);
        report.Note("environment", string.Join('\n', Environment.GetEnvironmentVariables().Keys.Cast<string>()
            .Where(name => name.StartsWith("NCCL_", StringComparison.Ordinal)).Order()
            .Select(name => $"{name}={Environment.GetEnvironmentVariable(name)}").DefaultIfEmpty("no variable NCCL_* is set")));
        Version? version = GpuLibraries.NcclVersion(out string missing);
        report.Check("nccl.version", version is not null, null, "", version?.ToString() ?? missing);
        report.Check("nccl.one rank", true, null, "", Collectives(0, CUDA));
        // Last: what NCCL refuses may leave it unusable for this process.
        string answer;
        try
        {
            answer = $"NCCL accepts it: {TwoRanks([0, 0], CUDA)}";
        }
        catch (Exception e) when (e is ExternalException or TimeoutException or ProcessGroupException or AggregateException)
        {
            answer = $"NCCL refuses it: {e.GetBaseException().Message}";
        }
        report.Note("two ranks on one device", answer);
    }

    /// <summary>Sums over two ranks, a thread each.</summary>
    /// <returns>What was run.</returns>
    public static string TwoRanks(int[] devices, Device device)
    {
        NcclProcessGroup[] groups = NcclProcessGroup.Create(devices, _ => device, TwoRanksTimeout);
        Task.WaitAll([.. groups.Select(group => Task.Factory.StartNew(() =>
        {
            using var scope = NewDisposeScope();
            using (group)
            {
                Tensor sum = ones([5], ScalarType.Float32, device);
                group.AllReduce(sum);
                group.Barrier();
                if (!sum.cpu().data<float>().All(value => value == 2))
                    throw new InvalidOperationException("The sum of 1 and 1 over two ranks is not 2.");
            }
        }, TaskCreationOptions.LongRunning))]);
        return "all-reduce and barrier of two ranks";
    }

    /// <summary>Runs each collective on a group of one rank.</summary>
    /// <returns>What was run.</returns>
    public static string Collectives(int index, Device device)
    {
        using var scope = NewDisposeScope();
        using NcclProcessGroup group = NcclProcessGroup.Create([index], _ => device, Timeout).Single();
        foreach (ScalarType dtype in new[] { ScalarType.Float32, ScalarType.Float64, ScalarType.BFloat16, ScalarType.Int64 })
        {
            Tensor Numbers() => arange(12, ScalarType.Int64, device).to(dtype);
            void Same(Tensor got, string what)
            {
                if (!got.to(CPU).to(ScalarType.Int64).data<long>().SequenceEqual(Enumerable.Range(0, 12).Select(n => (long)n)))
                    throw new InvalidOperationException($"{what} of {dtype} changed the numbers of its only rank.");
            }
            Tensor numbers = Numbers(), output = zeros([12], dtype, device);
            group.AllReduce(numbers);
            Same(numbers, "all-reduce");
            group.AllGather(numbers, output);
            Same(output, "all-gather");
            output.zero_();
            group.ReduceScatter(Numbers(), output);
            Same(output, "reduce-scatter");
            output.zero_();
            group.AllToAll(numbers, [12], output, [12]);
            Same(output, "all-to-all");
            group.Broadcast(numbers, 0);
            Same(numbers, "broadcast");
        }
        group.Barrier();
        return "all-reduce, all-gather, reduce-scatter, all-to-all, broadcast and barrier in float32, float64, bfloat16 and int64";
    }

    private static void StandIn(GpuReport report)
    {
        string source = Fixtures.Path("..", "DiffusionGemma.Ranks", "nccl_standin.c");
        string folder = Directory.CreateTempSubdirectory("diffusiongemma-nccl-").FullName;
        try
        {
            string runtime = Path.Combine(folder, "libcudart.so.12"), nccl = Path.Combine(folder, "libnccl.so.2");
            foreach (string[] arguments in new string[][] { ["-DRUNTIME", source, "-o", runtime], [source, runtime, "-o", nccl] })
            {
                (int exit, string output) = Start("cc", ["-O1", "-shared", "-fPIC", "-pthread", .. arguments], null);
                if (exit == 0) continue;
                report.Skip("nccl.stand-in", exit == 127 ? "no C compiler to build the stand-in of NCCL with." : output);
                return;
            }
            (int end, string said) = Start(Environment.ProcessPath!, ["--nccl-child"], folder);
            report.Check("nccl.stand-in", end == 0, null, "", said.Trim());
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }

    private static (int Exit, string Output) Start(string program, string[] arguments, string? libraryPath)
    {
        var start = new ProcessStartInfo(program, arguments) { RedirectStandardOutput = true, RedirectStandardError = true };
        if (libraryPath is not null) start.Environment["LD_LIBRARY_PATH"] = libraryPath;
        try
        {
            using Process process = Process.Start(start)!;
            Task<string> errors = process.StandardError.ReadToEndAsync();
            string output = process.StandardOutput.ReadToEnd();
            process.WaitForExit();
            return (process.ExitCode, output + errors.Result);
        }
        catch (Win32Exception)
        {
            return (127, "");
        }
    }
}
