using TorchSharp;

namespace DiffusionGemma;

/// <summary>The plan of the released configuration in fewer bits, computed in float32 on one CPU.</summary>
public class QuantizedPlanTests : TorchTest
{
    private static readonly DiffusionGemmaConfig Released = DiffusionGemmaConfig.Parse(ReleasedConfig.Json(perLayer: false), "config.json");

    private static readonly FineTuneOptions Lora = new()
    {
        Lora = new LoraOptions(), GlobalBatchSize = 1, Run = new() { ActivationCheckpointing = true, MicroBatchSize = 1 },
    };

    private static readonly long Plain = 4 * TrainingPlan.Compute(Released, Lora, torch.ScalarType.Float32, 512).Parameters;

    [Theory]
    [InlineData(Quantization.Int4, 0.15)]
    [InlineData(Quantization.Int8, 0.27)]
    public void Weights_take_a_part_of_float32s_memory(Quantization quantization, double part) =>
        Assert.InRange(Weights(quantization), 0.9 * part * Plain, part * Plain);

    [Fact]
    public void Weights_that_are_stored_in_bfloat16_take_half_of_float32s_memory_on_a_CPU() =>
        Assert.InRange(Weights(Quantization.None), 0.5 * Plain, 0.501 * Plain);

    [Theory]
    [InlineData(512)]
    [InlineData(1024)]
    public void A_LoRA_run_in_four_bits_fits_24_gigabytes(int tokens)
    {
        FineTuneOptions options = Lora with { Quantization = Quantization.Int4 };
        TrainingPlan plan = TrainingPlan.Compute(Released, options, torch.ScalarType.Float32, tokens);
        TestContext.Current.TestOutputHelper?.WriteLine(plan.ToString());
        Assert.InRange(plan.TotalBytes, 14e9, 22e9);
    }

    /// <summary>A LoRA step of 1 024 tokens on one GPU, computed in bfloat16: the goals are 70 GiB, and 22 GiB in four bits.</summary>
    [Theory]
    [InlineData(Quantization.None, 47, 70)]
    [InlineData(Quantization.Int4, 15, 22)]
    public void A_LoRA_run_fits_a_GPU(Quantization quantization, double least, double most)
    {
        FineTuneOptions options =
            Lora with { Quantization = quantization, Devices = [new torch.Device(DeviceType.CUDA, 0)] };
        TrainingPlan plan = TrainingPlan.Compute(Released, options, torch.ScalarType.BFloat16, 1024);
        TestContext.Current.TestOutputHelper?.WriteLine(plan.ToString());
        Assert.Equal(1L << 30, plan.OverheadBytes);
        Assert.InRange(plan.TotalBytes / (double)(1L << 30), least, most);
    }

    /// <summary>18.59 GB is the peak that ReleasedShapeTests printed for this run (docs/performance.md).</summary>
    [Fact]
    public void The_plan_is_within_15_percent_of_the_measured_peak()
    {
        FineTuneOptions options = Lora with { Quantization = Quantization.Int4 };
        TrainingPlan plan = TrainingPlan.Compute(Released, options, torch.ScalarType.Float32, 512);
        Assert.InRange(plan.TotalBytes / 18.59e9, 0.85, 1.15);
    }

    /// <summary>Folders that are quantised already are known by config.json alone.</summary>
    [Theory]
    [InlineData("int8")]
    [InlineData("fp8")]
    [InlineData("int4")]
    [InlineData("int4-fused")]
    [InlineData("nvfp4")]
    [InlineData("mxfp4")]
    [InlineData("modelopt-nvfp4")]
    public void A_quantised_folder_takes_what_its_tensors_take(string form)
    {
        string folder = Fixtures.Path("quantized", form);
        using var model = DiffusionGemmaModel.Load(folder);
        FineTuneOptions options = Lora with { Lora = new LoraOptions { Rank = 1 } };
        TrainingPlan plan = TrainingPlan.Compute(model.Config, options, torch.ScalarType.Float32, 26);
        long stored = model.Stack.Quantized.Values.Sum(weight => weight.Bytes)
            + model.Stack.Parameters.Values.Sum(tensor => tensor.numel() * tensor.ElementSize);
        Assert.Equal(stored, plan.WeightBytes - 4 * plan.TrainedParameters, 16.0);
    }

    [Fact]
    public void A_run_larger_than_its_GPU_is_warned_of()
    {
        var device = new torch.Device(DeviceType.CUDA, 1);
        TrainingPlan plan = TrainingPlan.Compute(Released, Lora with { Devices = [device] }, torch.ScalarType.BFloat16, 1024);
        Assert.Null(DeviceMemoryNotice.Of(plan, device, new CudaMemory(0, 80L << 30)));
        string notice = DeviceMemoryNotice.Of(plan, device, new CudaMemory(24L << 30, 24L << 30))!;
        Assert.Contains("of cuda:1, which has 25.8 GB", notice, StringComparison.Ordinal);
        Assert.Contains("FineTuneOptions.Quantization", notice, StringComparison.Ordinal);
    }

    private static long Weights(Quantization quantization) =>
        TrainingPlan.Compute(Released, Lora with { Quantization = quantization }, torch.ScalarType.Float32, 512) is var plan
            ? plan.WeightBytes - 4 * plan.TrainedParameters : 0;
}
