using static TorchSharp.torch;

namespace DiffusionGemma;

/// <summary>
/// Frozen bfloat16 matrices lie in the checkpoint's mapped files on a CPU, and are widened by products; what is written to is copied
/// first. A copy widened to the dtype that is computed in is the judge: products sum in another order, so equal to rounding.
/// </summary>
public class MappedWeightsTests : TorchTest
{
    private const string Name = "tiny-bf16-sharded", Query = "model.decoder.layers.1.self_attn.q_proj.weight";

    private static readonly FineTuneOptions Lora = TinyRows.Options with
    {
        MaxSteps = 4,
        Lora = new LoraOptions { Rank = 4, Experts = true, SelfConditioning = true },
    };

    [Theory]
    [InlineData(ScalarType.Float32, 2e-5)]
    [InlineData(ScalarType.Float64, 1e-12)]
    [InlineData(ScalarType.BFloat16, 0)]
    public void Matrices_stay_as_they_are_stored(ScalarType dtype, double tolerance)
    {
        using DiffusionGemmaModel model = Load(dtype), copy = Copied(dtype);
        Assert.Equal(dtype, model.DType);
        Assert.Equal(dtype, model.Stack.Parameters["model.decoder.norm.weight"].dtype);
        string[] narrow = [.. model.Stack.Parameters.Where(p => p.Value.dtype == ScalarType.BFloat16).Select(p => p.Key)];
        if (dtype != ScalarType.BFloat16)
            Assert.Equal(
                CheckpointLayout.Expected(model.Config).Keys.Where(key => key == CheckpointLayout.Embedding || QuantizedWeights.IsKept(key))
                    .Order(), narrow.Order());
        Assert.True(model.Stack.Embedding.IsLent);
        Assert.False(copy.Stack.Embedding.IsLent);
        Assert.All(copy.Stack.Parameters.Values, tensor => Assert.Equal(dtype, tensor.dtype));
        (Tensor hidden, Tensor logits) = Run(model);
        (Tensor sameHidden, Tensor sameLogits) = Run(copy);
        Assert.InRange(Largest(hidden, sameHidden), 0, tolerance);
        Assert.InRange(Largest(logits, sameLogits), 0, tolerance);
    }

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    public void LoRA_trains_over_them(int ranks)
    {
        FineTuneOptions options = Lora with { Devices = Device.Cpu(ranks) };
        using DiffusionGemmaModel model = Load(ScalarType.Float64), copy = Copied(ScalarType.Float64);
        using FineTuneResult got = FineTuner.Fit(model, TinyRows.Make(16), options);
        using FineTuneResult expected = FineTuner.Fit(copy, TinyRows.Make(16), options);
        Assert.Equal(4, got.History.Count);
        foreach ((StepRecord a, StepRecord b) in got.History.Zip(expected.History)) Assert.Equal(b.Loss, a.Loss, 1e-9);
        Assert.True(model.Stack.Embedding.IsLent);
        model.Adapter = copy.Adapter = null;
    }

    /// <summary>Weights that train are the model's own, in the dtype that is computed in; the files keep their bytes.</summary>
    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    public void Full_fine_tuning_trains_copies(int ranks)
    {
        FineTuneOptions options = TinyRows.Options with { MaxSteps = 3, Devices = Device.Cpu(ranks) };
        using DiffusionGemmaModel model = Load(ScalarType.Float32), copy = Copied(ScalarType.Float32);
        Dictionary<string, byte[]> before = Bytes();
        FineTuneResult got = FineTuner.Fit(model, TinyRows.Make(16), options), expected = FineTuner.Fit(copy, TinyRows.Make(16), options);
        Assert.Equal(expected.History.Select(record => record.Loss), got.History.Select(record => record.Loss));
        foreach ((string name, Tensor weight) in copy.Stack.Parameters)
        {
            Assert.Equal(ScalarType.Float32, model.Stack.Parameters[name].dtype);
            Assert.Equal(0, Largest(model.Stack.Parameters[name], weight));
        }
        using DiffusionGemmaModel untouched = Load(ScalarType.Float32);
        Assert.True(Largest(untouched.Stack.Parameters[Query], model.Stack.Parameters[Query]) > 0);
        Assert.Equal(before, Bytes());
    }

    [Fact]
    public void A_merge_goes_into_a_copy()
    {
        using DiffusionGemmaModel model = Load(ScalarType.Float32), copy = Copied(ScalarType.Float32);
        using LoraAdapter adapter = DrawnAdapter.Create(model, 1, 0.05, Lora.Lora!);
        Dictionary<string, byte[]> before = Bytes();
        adapter.MergeInto(model);
        adapter.MergeInto(copy);
        foreach ((string name, Tensor weight) in copy.Stack.Parameters) Assert.Equal(0, Largest(model.Stack.Parameters[name], weight));
        Assert.Equal(ScalarType.Float32, model.Stack.Parameters[Query].dtype);
        Assert.Equal(ScalarType.BFloat16, model.Stack.Parameters[CheckpointLayout.Embedding].dtype);                // it is not adapted
        Assert.InRange(Largest(Run(model).Logits, Run(copy).Logits), 0, 1e-4);
        Assert.Equal(before, Bytes());
    }

    /// <summary>Saving renames new files over those that are mapped, which stay until they are closed.</summary>
    [Fact]
    public void A_folder_may_be_replaced_under_a_model()
    {
        using TemporaryFolder folder = Fixtures.Temporary();
        foreach (string file in Directory.GetFiles(Fixtures.Checkpoint(Name))) File.Copy(file, folder.File(Path.GetFileName(file)));
        using var model = DiffusionGemmaModel.Load(folder.Path, CPU, ScalarType.Float32);
        Tensor logits = Run(model).Logits;
        using DiffusionGemmaModel other = Copied(ScalarType.Float32);
        using LoraAdapter adapter = DrawnAdapter.Create(other, 1, 0.05, Lora.Lora!);
        adapter.MergeInto(other);
        other.Save(folder.Path);
        Assert.Equal(0, Largest(Run(model).Logits, logits));
        using var replaced = DiffusionGemmaModel.Load(folder.Path, CPU, ScalarType.Float32);
        Assert.True(Largest(Run(replaced).Logits, logits) > 0.01);
    }

    [Fact]
    public void The_plan_counts_them_as_they_are_stored()
    {
        using DiffusionGemmaModel model = Load(ScalarType.Float32), copy = Copied(ScalarType.Float32);
        long Planned(FineTuneOptions options) => TrainingPlan.Compute(model.Config, options, ScalarType.Float32, 26).WeightBytes;
        static long Held(DiffusionGemmaModel model) => model.Stack.Parameters.Values.Sum(tensor => tensor.numel() * tensor.ElementSize);
        FineTuneOptions lora = Lora with { Lora = new LoraOptions { Rank = 1 } };
        long adapter = 4 * TrainingPlan.Compute(model.Config, lora, ScalarType.Float32, 26).TrainedParameters;
        Assert.Equal(Held(model), Planned(lora) - adapter, 16.0);
        Assert.Equal(Held(copy), Planned(lora with { Lora = null }), 16.0);
        Assert.True(Held(model) < 0.6 * Held(copy));
    }

    private static DiffusionGemmaModel Load(ScalarType dtype) => DiffusionGemmaModel.Load(Fixtures.Checkpoint(Name), CPU, dtype);

    /// <summary>The same model with weights of its own.</summary>
    private static DiffusionGemmaModel Copied(ScalarType dtype)
    {
        DiffusionGemmaModel model = Load(dtype);
        model.Own(_ => true);
        return model;
    }

    private static (Tensor Hidden, Tensor Logits) Run(DiffusionGemmaModel model)
    {
        using EncoderCache cache = model.Encode(arange(10, 29).view(1, 19));
        Tensor canvas = arange(40, 48).view(1, 8), first = model.Decode(canvas, cache);
        return (cache.LastHiddenState.clone(), model.Decode(canvas, cache, first));
    }

    private static Dictionary<string, byte[]> Bytes() =>
        Directory.GetFiles(Fixtures.Checkpoint(Name), "*.safetensors").ToDictionary(file => file, File.ReadAllBytes);
}
