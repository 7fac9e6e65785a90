using System.Text.Json;
using static TorchSharp.torch;

namespace DiffusionGemma;

/// <summary>One folder of fixtures/training: rows in their order of use, what each step gave, and the parameters at both ends.</summary>
internal sealed class TrainingFixture
{
    private readonly string _name;

    public TrainingFixture(string name)
    {
        _name = name;
        using JsonDocument document = JsonDocument.Parse(File.ReadAllText(Fixtures.Path("training", name, "rows.json")));
        JsonElement settings = document.RootElement.GetProperty("settings");
        int Integer(string key) => settings.GetProperty(key).GetInt32();
        double Number(string key) => settings.GetProperty(key).GetDouble();
        int canvas = DiffusionGemmaConfig.Load(Fixtures.Checkpoint(CheckpointName)).CanvasLength;
        Examples =
        [
            .. document.RootElement.GetProperty("rows").EnumerateArray().Select(row => CanvasPacking.Pack(
                [.. row.GetProperty("input_ids").EnumerateArray().Select(id => id.GetInt32())],
                [.. row.GetProperty("loss_mask").EnumerateArray().Select(m => m.GetInt32() == 1)],
                canvas, Integer("max_length"), Integer("eos"), Integer("pad_multiple"))!),
        ];
        double[] betas = [.. settings.GetProperty("betas").EnumerateArray().Select(b => b.GetDouble())];
        Options = new FineTuneOptions
        {
            Seed = Integer("seed"), MaxSteps = Integer("steps"), GlobalBatchSize = Integer("global_batch_size"),
            Objective = new()
            {
                NoiseFloor = Number("eps"), SelfConditioningProbability = Number("self_conditioning_probability"),
                EncoderLossWeight = Number("encoder_loss_weight")
            },
            Optimizer = new()
            {
                MaxGradientNorm = Number("max_grad_norm"), MinLearningRate = Number("min_lr"), Beta1 = betas[0],
                Beta2 = betas[1], AdamEpsilon = Number("adam_eps"), WeightDecay = Number("weight_decay")
            },
            LearningRate = Number("lr"), WarmupSteps = Integer("warmup_steps"), Run = new() { Shuffle = false },
        };
        JsonElement lora = settings.GetProperty("lora");
        Lora = new LoraOptions
        {
            Rank = lora.GetProperty("rank").GetInt32(), Alpha = lora.GetProperty("alpha").GetDouble(),
            Targets = [.. lora.GetProperty("targets").EnumerateArray().Select(t => t.GetString()!)],
        };
    }

    public string CheckpointName => _name == "nemo" ? "tiny-nemo" : _name;

    public IReadOnlyList<TrainingExample> Examples { get; }

    public FineTuneOptions Options { get; }

    public LoraOptions Lora { get; }

    /// <summary>Steps of "full" or "lora".</summary>
    public IReadOnlyList<JsonElement> Steps(string kind)
    {
        using JsonDocument document = JsonDocument.Parse(File.ReadAllText(Fixtures.Path("training", _name, $"{kind}.json")));
        return [.. document.RootElement.EnumerateArray().Select(s => s.Clone())];
    }

    public SafetensorsFile Parameters(string kind) => SafetensorsFile.Open(Fixtures.Path("training", _name, $"{kind}.safetensors"));

    /// <summary>Trains as the fixture was trained, from its own start.</summary>
    public FineTuneResult Train(DiffusionGemmaModel model, string kind, FineTuneOptions? options = null)
    {
        options ??= Options;
        if (kind == "full") return FineTuner.Fit(model, Examples, options);
        LoraAdapter adapter = LoraAdapter.Create(model, Lora, seed: 0);
        using SafetensorsFile start = Parameters("lora");
        using IDisposable quiet = no_grad();
        foreach ((string module, (_, LoraPair? pair)) in adapter.Pairs)
        {
            using Tensor a = start.Read($"start.{module}.lora_A.weight"), b = start.Read($"start.{module}.lora_B.weight");
            pair!.A.copy_(a);
            pair.B.copy_(b);
        }
        model.Adapter = adapter;
        using IDisposable loud = enable_grad(true);
        return FineTuner.Fit(model, Examples, options with { Lora = Lora });
    }
}
