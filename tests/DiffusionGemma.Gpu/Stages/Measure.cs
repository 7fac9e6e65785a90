using System.Diagnostics;
using System.Globalization;

namespace DiffusionGemma.Gpu;

/// <summary>Measures of one model: LoRA steps and denoising, ours and the reference's.</summary>
internal static class Measure
{
    private const int DenoisingSteps = 8;

    /// <summary>The fewest times faster than the reference that the project aims at.</summary>
    private const double Goal = 1.5;

    private static readonly int[] Batches = [1, 8];

    /// <summary>Records seconds and peak memory of LoRA steps and of denoising steps.</summary>
    public static void All(ModelShape shape, DiffusionGemmaModel model, string prefix, GpuOptions options, GpuReport report)
    {
        Lora(shape, model, prefix, options, report);
        Denoising(shape, model, prefix, options, report);
    }

    public static void Denoising(ModelShape shape, DiffusionGemmaModel model, string prefix, GpuOptions options, GpuReport report)
    {
        foreach (int batch in Batches)
        {
            int[][] prompts = shape.Prompts(batch, model.Config);
            // flat distributions: a step accepts one position, and no row stops early
            var generation = new GenerationOptions
            {
                MaxNewTokens = shape.Canvas, MaxDenoisingSteps = DenoisingSteps, ConfidenceThreshold = -1, EosTokenIds = [], Seed = 1,
            };
            using var peak = new PeakMemory(options.Device);
            CanvasGenerator.Generate(model, prompts, generation);
            long start = Stopwatch.GetTimestamp();
            CanvasGenerator.Generate(model, prompts, generation);
            report.Figure($"{prefix}.denoising.batch{batch}.seconds", Stopwatch.GetElapsedTime(start).TotalSeconds, "s",
                $"one canvas of {shape.Canvas} tokens in {DenoisingSteps} steps");
            report.Figure($"{prefix}.denoising.batch{batch}.peak", peak.Gib, "GiB");
        }
    }

    /// <summary>Measures transformers and PEFT on the same shape, and records both sides' ratios as goals.</summary>
    public static void Reference(ModelShape shape, string folder, string prefix, bool hasWeights, GpuOptions options, GpuReport report)
    {
        string Text(int number) => number.ToString(CultureInfo.InvariantCulture);
        string[] common =
        [
            "--model", folder, "--weights", hasWeights ? "folder" : "random", "--dtype", options.IsCpu ? "float32" : "bfloat16",
            "--prompt", Text(shape.Prompt), "--response", Text(shape.Response),
        ];
        string reference = $"{prefix}.reference";
        PythonReference.Run(options, report, reference,
        [
            "all", .. common, "--batch", Text(shape.Batch), "--training-steps", "4", "--batches", string.Join(',', Batches),
            "--denoising-steps", Text(DenoisingSteps),
        ]);
        foreach (string name in Batches.Select(batch => $"denoising.batch{batch}").Prepend("lora"))
            if (report.Value($"{reference}.{name}.seconds") is double theirs && report.Value($"{prefix}.{name}.seconds") is double ours)
                report.Goal(
                    $"{prefix}.{name}.ratio", theirs / ours >= Goal, theirs / ours, "x", $"at least {Goal} times transformers' speed");
    }

    private static void Lora(ModelShape shape, DiffusionGemmaModel model, string prefix, GpuOptions options, GpuReport report)
    {
        int steps = options.IsQuick ? 2 : 6;
        using var peak = new PeakMemory(options.Device);
        using FineTuneResult result = FineTuner.Fit(model, shape.Rows(steps * shape.Batch, model.Config), new FineTuneOptions
        {
            Lora = new LoraOptions(), GlobalBatchSize = shape.Batch, MaxSteps = steps, WarmupSteps = 1, Devices = [options.Device],
            Run = new() { Shuffle = false, DryRun = false, ActivationCheckpointing = true },
        });
        model.Adapter = null;
        // The mean: whether a step makes the first pass is drawn, and the reference always makes it.
        report.Figure($"{prefix}.lora.seconds", result.History.Skip(1).Average(step => step.Seconds), "s",
            $"a step of {shape.Batch} x {shape.Prompt + shape.Response} tokens, mean of {steps - 1}");
        report.Figure($"{prefix}.lora.peak", peak.Gib, "GiB");
        bool isFinite = result.History.All(step => double.IsFinite(step.Loss) && step.GradientNorm > 0);
        report.Check($"{prefix}.lora.losses", isFinite, result.History[^1].Loss, "", "finite, with a gradient");
    }
}
