using TorchSharp;
using static TorchSharp.torch;

namespace DiffusionGemma;

/// <summary>
/// The files of a PEFT LoRA folder. In transformers the two passes hold their adapted modules separately over tied weights, so an adapter
/// for both stands there twice, under model.decoder. and model.encoder.language_model., with equal values.
/// </summary>
internal static class PeftFolder
{
    public const string TensorFile = "adapter_model.safetensors";
    private const string Outer = "base_model.model.", Decoder = "model.decoder.", Encoder = "model.encoder.language_model.";

    /// <summary>Every tensor of an adapter by its PEFT name, decoder first.</summary>
    public static IEnumerable<KeyValuePair<string, Tensor>> Tensors(LoraAdapter adapter)
    {
        static string Name(Pass pass, string module) => Outer + (pass == Pass.Decoder ? module : Encoder + module[Decoder.Length..]);
        foreach (Pass pass in new[] { Pass.Decoder, Pass.Encoder })
        {
            foreach ((string module, (LoraPair? encoder, LoraPair? decoder)) in adapter.Pairs)
                if ((pass == Pass.Decoder ? decoder : encoder) is { } pair)
                {
                    yield return new($"{Name(pass, module)}.lora_A.weight", pair.A);
                    yield return new($"{Name(pass, module)}.lora_B.weight", pair.B);
                }
            foreach ((string module, (ExpertsLora? encoder, ExpertsLora? decoder)) in adapter.ExpertStacks)
                foreach ((string inner, ExpertStackLora? stack) in Stacks(pass == Pass.Decoder ? decoder : encoder))
                    if (stack is not null)
                    {
                        yield return new($"{Name(pass, module)}{inner}.lora_A.weight", stack.A);
                        yield return new($"{Name(pass, module)}{inner}.lora_B.weight", stack.B);
                    }
        }

        // PEFT wraps the module once a target parameter; the first wrapped, gate_up_proj, ends up innermost.
        static IEnumerable<(string, ExpertStackLora?)> Stacks(ExpertsLora? stacks) => [(".base_layer", stacks?.GateUp), ("", stacks?.Down)];
    }

    public static void Write(LoraAdapter adapter, IReadOnlyList<string> allModules, string folder, string baseModelNameOrPath)
    {
        using var scope = NewDisposeScope();
        var tensors = Tensors(adapter).ToDictionary(t => t.Key, t => t.Value.detach().to(ScalarType.Float32).cpu());
        bool bothPasses = adapter.Pairs.Values.Any(p => p.Encoder is not null) || adapter.ExpertStacks.Values.Any(p => p.Encoder is not null);
        string? pattern = adapter.Pairs.Count == 0 ? null : LoraTargets.PeftPattern([.. adapter.Pairs.Keys], allModules, bothPasses);
        string config = adapter.Config.ToJson(baseModelNameOrPath, pattern, adapter.ExpertStacks.Count > 0);
        try
        {
            Directory.CreateDirectory(folder);
            SafetensorsFile.Write(Path.Combine(folder, TensorFile), tensors, new Dictionary<string, string> { ["format"] = "pt" });
            string path = Path.Combine(folder, PeftConfig.FileName), temporary = path + ".tmp";
            File.WriteAllText(temporary, config);
            File.Move(temporary, path, overwrite: true);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new AdapterException($"{folder}: the adapter cannot be written there ({e.Message}). Choose a folder that can be.", e);
        }
    }

    public static LoraAdapter Read(string folder, DiffusionGemmaModel model)
    {
        PeftConfig config = PeftConfig.Load(folder);
        string path = Path.Combine(folder, TensorFile);
        if (!File.Exists(path)) throw new AdapterException($"{path} does not exist. Give the folder that PEFT or LoraAdapter.Save wrote.");
        using SafetensorsFile file = SafetensorsFile.Open(path);
        var reader = new Reader(file, path, config, model);
        LoraAdapter adapter = LoraAdapter.Empty(config, model);
        try
        {
            foreach (TransformerLayer layer in model.Stack.Layers)
            {
                foreach (Linear linear in layer.Linears)
                {
                    (LoraPair? encoder, LoraPair? decoder) = (reader.Pair(Pass.Encoder, linear), reader.Pair(Pass.Decoder, linear));
                    if (encoder is not null || decoder is not null) adapter.Pairs[linear.Name] = (encoder, decoder);
                }
                (ExpertsLora? encoderStacks, ExpertsLora? decoderStacks) = (reader.Experts(Pass.Encoder, layer.Experts), reader.Experts(Pass.Decoder, layer.Experts));
                if (encoderStacks is not null || decoderStacks is not null) adapter.ExpertStacks[layer.Experts.Name] = (encoderStacks, decoderStacks);
            }
            reader.RequireAllRead();
            ShareEqualCopies(adapter);
            return adapter;
        }
        catch
        {
            adapter.Dispose();
            throw;
        }
    }

    /// <summary>Only if every module's two copies are equal is it one adapter; a single difference makes two.</summary>
    private static void ShareEqualCopies(LoraAdapter adapter)
    {
        static bool Same(Tensor a, Tensor b)
        {
            using Tensor same = a.eq(b).all();
            return same.item<bool>();
        }
        static bool SameStack(ExpertStackLora? a, ExpertStackLora? b) => a is null && b is null || a is not null && b is not null && Same(a.A, b.A) && Same(a.B, b.B);

        bool shared = adapter.Pairs.Values.All(p => p.Encoder is not null && p.Decoder is not null && Same(p.Encoder.A, p.Decoder.A) && Same(p.Encoder.B, p.Decoder.B))
            && adapter.ExpertStacks.Values.All(s => s.Encoder is not null && s.Decoder is not null
                && SameStack(s.Encoder.GateUp, s.Decoder.GateUp) && SameStack(s.Encoder.Down, s.Decoder.Down));
        if (!shared) return;
        foreach (string module in adapter.Pairs.Keys.ToList())
        {
            (LoraPair? encoder, LoraPair? decoder) = adapter.Pairs[module];
            encoder!.A.Dispose();
            encoder.B.Dispose();
            adapter.Pairs[module] = (decoder, decoder);
        }
        foreach (string module in adapter.ExpertStacks.Keys.ToList())
        {
            (ExpertsLora? encoder, ExpertsLora? decoder) = adapter.ExpertStacks[module];
            foreach (ExpertStackLora? stack in new[] { encoder!.GateUp, encoder.Down })
            {
                stack?.A.Dispose();
                stack?.B.Dispose();
            }
            adapter.ExpertStacks[module] = (decoder, decoder);
        }
    }

    private sealed class Reader(SafetensorsFile file, string path, PeftConfig config, DiffusionGemmaModel model)
    {
        private readonly HashSet<string> _unread = [.. file.Tensors.Keys];
        private readonly double _scale = config.RankStabilized ? config.Alpha / Math.Sqrt(config.Rank) : config.Alpha / config.Rank;

        public LoraPair? Pair(Pass pass, Linear linear)
        {
            string name = Name(pass, linear.Name);
            long[] shape = linear.Weight.shape;
            return Matrices(name, [config.Rank, shape[1]], [shape[0], config.Rank]) is (Tensor a, Tensor b) ? new LoraPair(a, b, _scale) : null;
        }

        public ExpertsLora? Experts(Pass pass, Experts experts)
        {
            string name = Name(pass, experts.Name);
            ExpertStackLora? gateUp = Stack($"{name}.base_layer", experts.GateUp), down = Stack(name, experts.Down);
            return gateUp is null && down is null ? null : new ExpertsLora(gateUp, down);
        }

        public void RequireAllRead()
        {
            if (_unread.Count > 0)
                throw new AdapterException($"{path}: {_unread.Count} tensors belong to nothing that can be adapted here, the first is '{_unread.Order(StringComparer.Ordinal).First()}'. Was the adapter made for another model?");
            if (file.Tensors.Count == 0) throw new AdapterException($"{path} holds no tensors.");
        }

        private ExpertStackLora? Stack(string name, Tensor weight)
        {
            long experts = weight.shape[0];
            return Matrices(name, [experts * config.Rank, weight.shape[2]], [weight.shape[1], config.Rank * experts]) is (Tensor a, Tensor b)
                ? new ExpertStackLora(a, b, (int)experts, _scale)
                : null;
        }

        private (Tensor A, Tensor B)? Matrices(string module, long[] shapeOfA, long[] shapeOfB)
        {
            string a = $"{module}.lora_A.weight", b = $"{module}.lora_B.weight";
            if (!file.Tensors.ContainsKey(a) && !file.Tensors.ContainsKey(b)) return null;
            Check(a, shapeOfA);
            Check(b, shapeOfB);
            return (Take(a), Take(b));
        }

        private void Check(string name, long[] expected)
        {
            if (!file.Tensors.TryGetValue(name, out TensorInfo? info)) throw new AdapterException($"{path}: '{name}' is missing; its other half is there.");
            if (!info.Shape.SequenceEqual(expected))
                throw new AdapterException($"{path}: '{name}' is [{string.Join(',', info.Shape)}], expected [{string.Join(',', expected)}] for this model and r = {config.Rank}.");
            if (info.DType is not (ScalarType.Float32 or ScalarType.Float64 or ScalarType.BFloat16 or ScalarType.Float16))
                throw new AdapterException($"{path}: '{name}' is {info.DType}, expected floating-point numbers.");
        }

        private Tensor Take(string name)
        {
            _unread.Remove(name);
            return file.Read(name, model.Device, RotaryEmbedding.AtLeastFloat32(model.DType)).DetachFromDisposeScope();
        }

        private static string Name(Pass pass, string module) => Outer + (pass == Pass.Decoder ? module : Encoder + module[Decoder.Length..]);
    }
}
