using System.Diagnostics;
using System.Globalization;
using static TorchSharp.torch;

namespace DiffusionGemma.Gpu;

/// <summary>
/// Part of stage 1: memory that runs out is an exception, and the process goes on. Operators whose result no device has room for; and, in a
/// process that may take little of the GPU, a training step and an answer.
/// </summary>
internal static class MemoryCheck
{
    /// <summary>2^22 by 2^22 numbers take 70 TB in float32.</summary>
    private const long Side = 1L << 22;

    /// <summary>Bytes of a GPU that the process of its own may take.</summary>
    private const double ChildBytes = 2e9;

    private static readonly TimeSpan Most = TimeSpan.FromMinutes(2);

    public static void Run(GpuOptions options, GpuReport report)
    {
        Operators(options.Device, report);
        double fraction = options.IsCpu ? 1 : ChildBytes / CudaMemory.Read(0).Total;
        using Process process = Process.Start(new ProcessStartInfo(
            Environment.ProcessPath!,
            ["--memory-child", fraction.ToString(CultureInfo.InvariantCulture), .. options.Arguments])
        {
            RedirectStandardOutput = true, RedirectStandardError = true,
        })!;
        Task<string> output = process.StandardOutput.ReadToEndAsync(), errors = process.StandardError.ReadToEndAsync();
        bool ended = process.WaitForExit(Most);
        if (!ended) process.Kill(entireProcessTree: true);
        process.WaitForExit();
        string said = ended && process.ExitCode == 0 ? output.Result.Trim()
            : $"{(ended ? $"exit {process.ExitCode}" : $"stopped after {Most}")}: {errors.Result.Trim()}";
        report.Check("out of memory.runs", ended && process.ExitCode == 0, null, "", said);
    }

    /// <summary>
    /// In a process with a limit: trains and answers, with sizes that fit and sizes that do not, and the former again with equal results.
    /// On a CPU, whose memory libtorch does not limit, the large sizes are small ones too, and all succeed.
    /// </summary>
    /// <returns>What happened.</returns>
    public static string Child(GpuOptions options, double fraction)
    {
        DiffusionGemmaRuntime.LimitGpuMemory(fraction);
        ModelShape shape = options.IsQuick ? ModelShape.Small : ModelShape.Benchmark;
        int many = options.IsCpu ? 2 : 512;
        string folder = Directory.CreateTempSubdirectory("diffusiongemma-gpu-").FullName;
        try
        {
            ScalarType dtype = options.IsCpu ? ScalarType.Float32 : ScalarType.BFloat16;
            using DiffusionGemmaModel model = RandomModel.Create(shape, folder, options.Device, dtype, inFourBits: false);
            double first = Loss(1);
            int[] answer = Answer(1);
            string training = Fault(() => Loss(many)), denoising = Fault(() => Answer(many * 16));
            if (Loss(1) != first || !Answer(1).SequenceEqual(answer))
                throw new InvalidOperationException("A run after the one without memory has another result than one before it.");
            if (!options.IsCpu && (training.Length == 0 || denoising.Length == 0))
                throw new InvalidOperationException($"{ChildBytes / 1e9} GB were enough: training '{training}', denoising '{denoising}'.");
            return options.IsCpu
                ? "on a CPU without a limit: both runs succeed, the same twice" : $"training: {training}; denoising: {denoising}";

            double Loss(int rows)
            {
                try
                {
                    using FineTuneResult result = FineTuner.Fit(model, shape.Rows(rows, model.Config), new FineTuneOptions
                    {
                        Lora = new LoraOptions(), GlobalBatchSize = rows, MaxSteps = 1, WarmupSteps = 0, Devices = [options.Device],
                        Run = new() { Shuffle = false, DryRun = false, MicroBatchSize = rows },
                    });
                    return result.History[0].Loss;
                }
                finally
                {
                    model.Adapter = null;
                }
            }

            int[] Answer(int rows) => CanvasGenerator.Generate(model, shape.Prompts(rows, model.Config), new GenerationOptions
            {
                MaxNewTokens = shape.Canvas, MaxDenoisingSteps = 2, EosTokenIds = [], Seed = 1,
            })[0].Ids;
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }

    private static void Operators(Device device, GpuReport report)
    {
        using var scope = NewDisposeScope();
        using IDisposable quiet = no_grad();
        Tensor column = ones([Side, 1], ScalarType.Float32, device), row = ones([1, Side], ScalarType.Float32, device);
        Tensor wide = column.expand(Side, Side), places = zeros([1], ScalarType.Int64, device).expand(Side);
        Tensor narrow = ones([Side, 8], ScalarType.BFloat16, device), matrices = ones([1, 8, Side], ScalarType.BFloat16, device);
        Tensor ends = tensor(new[] { (int)Side }, device: device);
        var faults = new List<string>();
        foreach ((string name, Func<Tensor> run) in new (string, Func<Tensor>)[]
        {
            ("empty", () => empty([1L << 45], ScalarType.Float32, device)), ("mm", () => column.mm(row)),
            ("bmm", () => column.unsqueeze(0).bmm(row.unsqueeze(0))), ("linear", () => nn.functional.linear(column, column)),
            ("addmm", () => wide.addmm(column, row)), ("index_select", () => row.index_select(0, places)),
            ("cat", () => cat([wide, wide], 0)), ("to", () => wide.to(ScalarType.BFloat16)), ("clone", () => wide.clone()),
            ("mul", () => wide * 2), ("softmax", () => wide.softmax(-1)), ("gelu", () => TorchOperators.GeluTanh(wide)),
            ("rms_norm", () => TorchOperators.RmsNorm(wide, null, 1e-6)),
            ("grouped_mm", () => TorchOperators.GroupedMatMul(narrow, matrices, ends)),
        })
        {
            string fault = Fault(() => run().Dispose());
            if (fault.Length == 0) faults.Add($"{name} did not throw");
            else if (name == "mm") report.Note("out of memory.message", fault);
        }
        using Tensor sum = ones([4], ScalarType.Float32, device).sum();
        if (sum.item<float>() != 4) faults.Add("a sum after them is wrong");
        report.Check("out of memory", faults.Count == 0, null, "",
            faults.Count == 0 ? "operators whose result is too large throw, and the next one computes" : string.Join("; ", faults));
    }

    /// <summary>Returns what an exception says first; empty where there is none.</summary>
    private static string Fault(Action run)
    {
        try
        {
            run();
            return "";
        }
        catch (Exception e)
        {
            return $"{e.GetType().Name}: {e.Message.Trim().Split('\n')[0]}";
        }
    }
}
