using System.Diagnostics;
using TorchSharp;

namespace DiffusionGemma.Gpu;

/// <summary>
/// Stage 3: the released shape, its weights drawn on the device: in bfloat16; then, when that memory is free again, transformers and PEFT
/// on the same shape; then in 4 bits.
/// </summary>
internal static class LargeStage
{
    private const double LoraGib = 70, FourBitsGib = 22, PlanBand = 0.15;

    public static void Run(GpuOptions options, GpuReport report)
    {
        DiffusionGemmaRuntime.EnsureUsable(options.Device);
        ModelShape shape = options.IsQuick ? ModelShape.Small : ModelShape.Released;
        torch.ScalarType dtype = options.IsCpu ? torch.ScalarType.Float32 : torch.ScalarType.BFloat16;
        string folder = Directory.CreateTempSubdirectory("diffusiongemma-gpu-").FullName;
        try
        {
            // The goals first: what comes after them may be cut off.
            report.Part(shape.Name, () => Measured(inFourBits: false));
            if (PythonReference.IsThere(options, report, $"{shape.Name}.reference"))
                report.Part($"{shape.Name}.reference", () =>
                    Measure.Reference(shape, folder, shape.Name, hasWeights: false, options, report));
            report.Part($"{shape.Name}.int4", () => Measured(inFourBits: true));
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }

        void Measured(bool inFourBits)
        {
            string prefix = inFourBits ? $"{shape.Name}.int4" : shape.Name;
            long start = Stopwatch.GetTimestamp();
            using (var model = RandomModel.Create(shape, folder, options.Device, dtype, inFourBits))
            {
                report.Figure($"{prefix}.create.seconds", Stopwatch.GetElapsedTime(start).TotalSeconds, "s");
                Plan(shape, model, inFourBits, prefix, report);
                Measure.All(shape, model, prefix, options, report);
            }
            if (options.IsQuick || report.Value($"{prefix}.lora.peak") is not double peak) return;
            report.Goal($"{prefix}.lora.memory", peak <= (inFourBits ? FourBitsGib : LoraGib), peak, "GiB",
                $"at most {(inFourBits ? FourBitsGib : LoraGib)} GiB");
            if (report.Value($"{prefix}.lora.plan") is double plan)
                report.Goal($"{prefix}.lora.planned", Math.Abs(peak / plan - 1) <= PlanBand, peak / plan, "x",
                    $"the peak over the plan, within {PlanBand} of 1");
        }
    }

    /// <summary>The plan of the same run, to hold the peak against.</summary>
    private static void Plan(ModelShape shape, DiffusionGemmaModel model, bool inFourBits, string prefix, GpuReport report)
    {
        var options = new FineTuneOptions
        {
            Lora = new LoraOptions(), GlobalBatchSize = shape.Batch, Run = new() { ActivationCheckpointing = true },
            Quantization = inFourBits ? Quantization.Int4 : Quantization.None,
        };
        var plan = TrainingPlan.Compute(model.Config, options, model.DType, shape.Prompt + shape.Response);
        report.Figure($"{prefix}.lora.plan", plan.TotalBytes / (double)(1L << 30), "GiB", "what `plan` says of the same run");
    }
}
