using TorchSharp;

namespace DiffusionGemma.Gpu;

/// <summary>Stage 2: a LoRA step and denoising, beside transformers and PEFT on the same random weights.</summary>
internal static class SpeedStage
{
    public static void Run(GpuOptions options, GpuReport report)
    {
        if (!PythonReference.IsThere(options, report, "speed")) return;
        DiffusionGemmaRuntime.EnsureUsable(options.Device);
        ModelShape[] shapes = options.IsQuick ? [ModelShape.Small] : [ModelShape.Benchmark, ModelShape.Middle];
        torch.ScalarType dtype = options.IsCpu ? torch.ScalarType.Float32 : torch.ScalarType.BFloat16;
        foreach (ModelShape shape in shapes) report.Part(shape.Name, () => Compare(shape));

        void Compare(ModelShape shape)
        {
            string folder = Directory.CreateTempSubdirectory("diffusiongemma-gpu-").FullName;
            try
            {
                RandomModel.Write(shape, folder, options.Device, dtype);
                using (var model = DiffusionGemmaModel.Load(folder, options.Device, dtype))
                    Measure.All(shape, model, shape.Name, options, report);
                Measure.Reference(shape, folder, shape.Name, hasWeights: true, options, report);
            }
            finally
            {
                Directory.Delete(folder, recursive: true);
            }
        }
    }
}
