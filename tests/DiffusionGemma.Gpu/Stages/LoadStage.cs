using static TorchSharp.torch;

namespace DiffusionGemma.Gpu;

/// <summary>Stage 1: libtorch, the self-test, and the recorded passes, gradients and training steps of the fixtures.</summary>
internal static class LoadStage
{
    public static void Run(GpuOptions options, GpuReport report)
    {
        Device device = options.Device;
        DiffusionGemmaRuntime.EnsureUsable(device);
        backends.cuda.matmul.allow_tf32 = false;
        report.Note("Describe", DiffusionGemmaRuntime.Describe());
        BackendSelfTest.Run(device);
        report.Check("self-test", true, null, "", $"on {device}");
        string[] names = options.IsQuick ? ["tiny-2layer"] : ["tiny-2layer", "tiny-6layer"];
        foreach (string name in names)
        {
            foreach (ScalarType dtype in new[] { ScalarType.Float32, ScalarType.BFloat16 })
                report.Part($"passes.{name}", () => Passes(name, device, dtype, report));
            report.Part($"gradients.{name}", () => Gradients(name, device, report));
        }
        foreach (string kind in new[] { "lora", "full" })
        {
            if (options.IsQuick && kind == "full") continue;
            foreach (ScalarType dtype in new[] { ScalarType.Float32, ScalarType.BFloat16 })
                report.Part($"training.{kind}", () => Training(kind, device, dtype, report));
        }
        report.Part("attention", () => AttentionCheck.Run(options, report));
        report.Part("experts", () => ExpertsCheck.Run(options, report));
        report.Part("out of memory", () => MemoryCheck.Run(options, report));
    }

    private static void Passes(string name, Device device, ScalarType dtype, GpuReport report)
    {
        using var scope = NewDisposeScope();
        using var model = DiffusionGemmaModel.Load(Fixtures.Checkpoint(name), device, dtype);
        using SafetensorsFile fixture = SafetensorsFile.Open(Fixtures.Path("forward", $"{name}.safetensors"));
        double largest = 0, relative = 0;
        void Compare(Tensor got, Tensor expected)
        {
            using var inner = NewDisposeScope();
            Tensor want = expected.to(ScalarType.Float64), difference = got.to(CPU).to(ScalarType.Float64) - want;
            largest = Math.Max(largest, difference.abs().max().item<double>());
            relative = Math.Max(relative, Math.Sqrt(difference.square().mean().item<double>() / want.square().mean().item<double>()));
        }
        foreach (string scenario in new[] { "plain", "padded", "long", "long_padded" })
        {
            Tensor F(string key) => fixture.Read($"{scenario}.{key}");
            Tensor mask = F("prompt_mask").to(ScalarType.Bool), canvas = F("canvas_ids");
            using EncoderCache cache = model.Encode(F("prompt_ids").to(device), mask.to(device));
            Compare(model.Decode(canvas.to(device), cache), F("logits"));
            Compare(model.Decode(canvas.to(device), cache, F("sc_logits").to(dtype).to(device)), F("logits_sc"));
        }
        if (dtype == ScalarType.Float32)
            report.Check(
                $"passes.{name}.float32", largest <= Tolerances.Passes(dtype), largest, "",
                $"largest difference, at most {Tolerances.Passes(dtype)}");
        else
            report.Check(
                $"passes.{name}.bfloat16", relative <= Tolerances.BFloat16Passes, relative, "",
                $"relative difference, at most {Tolerances.BFloat16Passes}");
    }

    private static void Gradients(string name, Device device, GpuReport report)
    {
        using var scope = NewDisposeScope();
        using var model = DiffusionGemmaModel.Load(Fixtures.Checkpoint(name), device, ScalarType.Float32);
        using SafetensorsFile fixture = SafetensorsFile.Open(Fixtures.Path("forward", $"{name}.safetensors"));
        foreach (Tensor parameter in model.Stack.Parameters.Values) parameter.requires_grad_(true);
        Tensor On(string key) => fixture.Read(key).to(device);
        Tensor prompt = On("plain.prompt_ids");
        PassContext encoder = new(Pass.Encoder), decoder = encoder with { Pass = Pass.Decoder };
        using EncoderCache cache = model.Encode(prompt, null, null, encoder);
        Tensor hidden = model.Decode(On("plain.canvas_ids"), cache, On("plain.sc_logits"), null, null, null, decoder);
        Tensor encoded = model.Logits(cache.LastHiddenState, decoder).narrow(1, 0, prompt.shape[1] - 1);
        Tensor loss = nn.functional.cross_entropy(model.Logits(hidden, decoder).flatten(0, 1), On("grad.target").flatten())
            + nn.functional.cross_entropy(encoded.flatten(0, 1), prompt.narrow(1, 1, prompt.shape[1] - 1).flatten());
        decoder.Backward.Run(loss);
        double largest = 0;
        int compared = 0;
        foreach ((string parameter, Tensor tensor) in model.Stack.Parameters)
        {
            if (!fixture.Tensors.ContainsKey($"grad.{parameter}") || tensor.grad is not { } gradient) continue;
            Tensor difference = gradient.to(CPU).to(ScalarType.Float64) - fixture.Read($"grad.{parameter}").to(ScalarType.Float64);
            largest = Math.Max(largest, difference.abs().max().item<double>());
            compared++;
        }
        report.Check(
            $"gradients.{name}.float32", largest <= Tolerances.Passes(ScalarType.Float32) && compared > 20, largest, "",
            $"largest difference of {compared} parameters' gradients, at most {Tolerances.Passes(ScalarType.Float32)}");
    }

    private static void Training(string kind, Device device, ScalarType dtype, GpuReport report)
    {
        var fixture = new TrainingFixture("nemo");
        using var model = DiffusionGemmaModel.Load(Fixtures.Checkpoint(fixture.CheckpointName), device, dtype);
        using FineTuneResult result = fixture.Train(model, kind, fixture.Options with { Devices = [device] });
        model.Adapter = null;
        double worst = result.History.Zip(fixture.Steps(kind)).Max(pair =>
        {
            double want = pair.Second.GetProperty("loss").GetDouble();
            return Math.Abs(pair.First.Loss - want) / want;
        });
        double band = dtype == ScalarType.Float32 ? Tolerances.Losses : Tolerances.BFloat16Losses;
        report.Check(
            $"training.{kind}.{dtype.ToString().ToLowerInvariant()}", worst <= band, worst, "",
            $"largest relative difference of {result.History.Count} losses, at most {band}");
    }
}
