using System.Diagnostics;
using System.Globalization;
using System.Runtime.InteropServices;
using static TorchSharp.torch;

namespace DiffusionGemma;

/// <summary>Memory that runs out in the middle of training and of denoising: an exception, and the process goes on as before.</summary>
public sealed partial class OutOfMemoryTests : TorchTest
{
    private const string Mark = "DIFFUSIONGEMMA_OUT_OF_MEMORY_MARK";

    private static readonly TimeSpan Longest = TimeSpan.FromMinutes(30);

    /// <summary>
    /// A process of its own limits its address space to little more than it has, so that allocations of libtorch fail: by more room they
    /// fail later in a step.
    /// </summary>
    [Fact]
    public async Task A_step_without_memory_is_an_error_and_the_next_run_is_as_before()
    {
        Assert.SkipUnless(OperatingSystem.IsLinux(), "The address space is limited on Linux alone.");
        using TemporaryFolder folder = Fixtures.Temporary();
        var start = new ProcessStartInfo(
            Environment.ProcessPath!, ["-explicit", "only", "-method", $"*{nameof(OutOfMemoryTests)}.{nameof(Child_with_little_memory)}"])
        {
            RedirectStandardOutput = true, RedirectStandardError = true,
            Environment =
            {
                [Mark] = folder.File("mark"),
                // Code that is compiled anew in the background takes address space too.
                ["DOTNET_TieredCompilation"] = "0",
                ["DOTNET_gcConcurrent"] = "0",
            },
        };
        using Process process = Process.Start(start)!;
        Task<string> output = process.StandardOutput.ReadToEndAsync(), errors = process.StandardError.ReadToEndAsync();
        await process.WaitForExitAsync().WaitAsync(Longest);
        string said = await output + await errors;
        Assert.True(process.ExitCode == 0 && File.Exists(folder.File("mark")), said);
        TestContext.Current.TestOutputHelper?.WriteLine(File.ReadAllText(folder.File("mark")));
    }

    /// <summary>Runs in the child only: an explicit test is in no ordinary run.</summary>
    [Fact(Explicit = true)]
    public void Child_with_little_memory()
    {
        set_num_threads(1);
        using DiffusionGemmaModel model = DiffusionGemmaModel.Load(Fixtures.Checkpoint("tiny-2layer"));
        // Rows of a size that the run before has not made room for.
        IReadOnlyList<TrainingExample> rows = TinyRows.Make(8), many = TinyRows.Make(2048);
        FineTuneOptions options = TinyRows.Options with { Lora = new LoraOptions { Rank = 2 }, MaxSteps = 3 };
        FineTuneOptions large = options with { GlobalBatchSize = 2048, Run = options.Run with { MicroBatchSize = 2048 }, MaxSteps = 1 };
        double[] expected = Losses(rows, options);
        int[] answer = CanvasGenerator.Generate(model, [[2, 30, 31]], Short)[0].Ids;
        int trainings = 0, answers = 0;
        var seen = new SortedSet<string>();
        foreach (int mebi in (int[])[24, 32, 48, 64, 96, 128])
        {
            using (Limit(mebi))
            {
                trainings += Fails(() => Losses(many, large));
                answers += Fails(() => CanvasGenerator.Generate(model, [.. Enumerable.Repeat(new int[] { 2, 30, 31 }, 4096)], Short));
            }
            model.Adapter = null;
            Assert.Equal(expected, Losses(rows, options));
            Assert.Equal(answer, CanvasGenerator.Generate(model, [[2, 30, 31]], Short)[0].Ids);
        }
        Assert.True(trainings > 0 && answers > 0, $"{trainings} trainings and {answers} answers ran out of memory");
        File.WriteAllText(
            Environment.GetEnvironmentVariable(Mark)!,
            $"{trainings} trainings and {answers} answers ran out of memory: {string.Join("; ", seen)}");

        int Fails(Action act)
        {
            Exception? error = Record.Exception(act);
            if (error is null) return 0;
            seen.Add(error.GetBaseException().Message.Split('\n')[0]);
            return 1;
        }

        double[] Losses(IReadOnlyList<TrainingExample> examples, FineTuneOptions all)
        {
            using FineTuneResult result = FineTuner.Fit(model, examples, all);
            model.Adapter = null;
            return [.. result.History.Select(record => record.Loss)];
        }
    }

    private static GenerationOptions Short { get; } = new() { EosTokenIds = [], MaxDenoisingSteps = 2 };

    /// <summary>Lets the process have so much more address space than it has, until it is disposed of.</summary>
    private static Restored Limit(int mebi)
    {
        const int addressSpace = 9;
        string size = File.ReadLines("/proc/self/status").First(line => line.StartsWith("VmSize:", StringComparison.Ordinal));
        ulong bytes = 1024 * ulong.Parse(size.AsSpan("VmSize:".Length).Trim().TrimEnd(" kB"), CultureInfo.InvariantCulture);
        Assert.Equal(0, getrlimit(addressSpace, out Limits before));
        var limited = new Limits { Soft = bytes + ((ulong)mebi << 20), Hard = before.Hard };
        Assert.Equal(0, setrlimit(addressSpace, limited));
        return new Restored(() => Assert.Equal(0, setrlimit(addressSpace, before)));
    }

    private sealed class Restored(Action restore) : IDisposable
    {
        public void Dispose() => restore();
    }

    [StructLayout(LayoutKind.Sequential)]
    private struct Limits
    {
        public ulong Soft, Hard;
    }

    [LibraryImport("libc")]
    private static partial int getrlimit(int resource, out Limits limits);

    [LibraryImport("libc")]
    private static partial int setrlimit(int resource, in Limits limits);
}
