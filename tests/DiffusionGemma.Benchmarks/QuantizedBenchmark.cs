using System.Diagnostics;
using System.Globalization;
using static TorchSharp.torch;

namespace DiffusionGemma.Benchmarks;

/// <summary>
/// Two layers of the released model in float32, in bfloat16 as it is mapped, in 8 and in 4 bits, all computed in float32, each in a process
/// of its own: memory of the weights, a denoising step of one canvas of 256 tokens after 64, and a LoRA step of one row of 512 tokens. At
/// one thread seconds are the process's own, which other programs do not change. Float32 takes 13 GB of memory.
/// </summary>
internal static class QuantizedBenchmark
{
    public const string Command = "quantized-one";

    private const string Reference = "float32";
    private const int Prompt = 64, DenoisingSteps = 3, TrainingSteps = 3, RowTokens = 512;

    /// <param name="threads">Torch's threads.</param>
    /// <param name="quick">The small shape.</param>
    /// <param name="only">Only forms whose names contain it, and float32; null: all.</param>
    public static void Run(int threads, bool quick, string? only)
    {
        QuantizedCheckpointShape.Checkpoint(quick);
        Dictionary<string, double>? reference = null;
        foreach (string form in new[] { Reference, "bfloat16", "int8", "int4" })
        {
            if (only is not null && form != Reference && !form.Contains(only, StringComparison.Ordinal)) continue;
            Dictionary<string, double> measured = InOwnProcess(form, threads, quick);
            foreach ((string name, double value) in measured)
                Figure.Print($"quantized.{form}.{name}", value, name.EndsWith("gb", StringComparison.Ordinal) ? "GB" : "s");
            if (reference is not null)
                foreach ((string name, double value) in measured.Where(pair => pair.Key != "load_seconds"))
                    Figure.Print($"quantized.{form}.ratio_{name}", value / reference[name], "x of float32's");
            reference ??= measured;
        }
    }

    /// <summary>The child's part.</summary>
    public static void Measure(string form, int threads, bool quick)
    {
        Machine.Note();
        set_num_threads(threads);
        var clock = Stopwatch.StartNew();
        using var model = DiffusionGemmaModel.Load(
            QuantizedCheckpointShape.Checkpoint(quick), CPU, ScalarType.Float32,
            form == "int8" ? Quantization.Int8 : form == "int4" ? Quantization.Int4 : Quantization.None);
        if (form == Reference) model.Own(_ => true);
        double loaded = clock.Elapsed.TotalSeconds;
        long weights = model.Stack.Quantized.Values.Sum(weight => weight.Bytes)
            + model.Stack.Parameters.Values.Sum(tensor => tensor.numel() * tensor.ElementSize);
        double denoising = Denoise(model, threads), training = Train(model, threads);
        using Process process = Process.GetCurrentProcess();
        Console.WriteLine(string.Create(
            CultureInfo.InvariantCulture,
            $"weights_gb {weights / 1e9} load_seconds {loaded} denoising_step_seconds {denoising} lora_step_seconds {training} "
            + $"peak_gb {process.PeakWorkingSet64 / 1e9}"));
    }

    /// <summary>Seconds of a step, with its part of the prompt's pass: the fastest of two answers.</summary>
    private static double Denoise(DiffusionGemmaModel model, int threads)
    {
        var random = new Random(1);
        int[][] prompts = [[.. Enumerable.Range(0, Prompt).Select(_ => random.Next(8, model.Config.VocabularySize))]];
        var options = new GenerationOptions
        {
            MaxNewTokens = model.Config.CanvasLength, MaxDenoisingSteps = DenoisingSteps, ConfidenceThreshold = 1e-9, EosTokenIds = [],
        };
        double best = double.PositiveInfinity;
        for (int run = 0; run < 2; run++)
        {
            Moment start = Moment.Now;
            CanvasGenerator.Generate(model, prompts, options);
            best = Math.Min(best, Moment.Now.SecondsSince(start, threads) / DenoisingSteps);
        }
        return best;
    }

    /// <summary>Seconds of a step: the fastest after the first.</summary>
    private static double Train(DiffusionGemmaModel model, int threads)
    {
        IReadOnlyList<TrainingExample> rows =
            BenchmarkShape.Rows(TrainingSteps, model.Config, RowTokens / 2, RowTokens / 2);
        var options = new FineTuneOptions
        {
            Lora = new LoraOptions(), GlobalBatchSize = 1, WarmupSteps = 1,
            Run = new() { Shuffle = false, DryRun = false, MicroBatchSize = 1 },
        };
        List<Moment> ends = [];
        using FineTuneResult result =
            FineTuner.Fit(model, rows, options, new ImmediateProgress<StepRecord>(_ => ends.Add(Moment.Now)));
        model.Adapter = null;
        return ends.Zip(ends.Skip(1), (from, to) => to.SecondsSince(from, threads)).Min();
    }

    private static Dictionary<string, double> InOwnProcess(string form, int threads, bool quick)
    {
        string[] arguments = [Command, form, threads.ToString(CultureInfo.InvariantCulture), quick.ToString()];
        using Process process = Process.Start(new ProcessStartInfo(Environment.ProcessPath!, arguments) { RedirectStandardOutput = true })!;
        string output = process.StandardOutput.ReadToEnd();
        process.WaitForExit();
        if (process.ExitCode != 0) throw new InvalidOperationException($"{string.Join(' ', arguments)} failed.");
        string[] words = output.Split((char[]?)null, StringSplitOptions.RemoveEmptyEntries);
        return Enumerable.Range(0, words.Length / 2)
            .ToDictionary(i => words[2 * i], i => double.Parse(words[(2 * i) + 1], CultureInfo.InvariantCulture));
    }

    /// <summary>A point in the process's time.</summary>
    private readonly record struct Moment(long Clock, TimeSpan Processor)
    {
        public static Moment Now
        {
            get
            {
                using Process process = Process.GetCurrentProcess();
                return new Moment(Stopwatch.GetTimestamp(), process.TotalProcessorTime);
            }
        }

        /// <summary>Processor time with one thread, else wall time.</summary>
        public double SecondsSince(Moment start, int threads) =>
            (threads == 1 ? Processor - start.Processor : Stopwatch.GetElapsedTime(start.Clock, Clock)).TotalSeconds;
    }
}
