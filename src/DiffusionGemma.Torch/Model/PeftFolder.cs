using static TorchSharp.torch;

namespace DiffusionGemma;

/// <summary>
/// Reads and writes a PEFT LoRA folder. In transformers the two passes hold their adapted modules separately over tied weights, so an
/// adapter for both is stored twice, under model.decoder. and model.encoder.language_model., with equal values.
/// </summary>
internal static class PeftFolder
{
    public const string TensorFile = "adapter_model.safetensors";
    private const string Outer = "base_model.model.", Decoder = "model.decoder.", Encoder = "model.encoder.language_model.";

    /// <summary>Returns a module's name in transformers, where each pass has its own; the decoder's is the checkpoint's.</summary>
    public static string ModuleName(Pass pass, string module) => pass == Pass.Decoder ? module : Encoder + module[Decoder.Length..];

    /// <summary>Lists every tensor of an adapter by its PEFT name, the decoder's first.</summary>
    public static IEnumerable<KeyValuePair<string, Tensor>> Tensors(LoraAdapter adapter)
    {
        static IEnumerable<KeyValuePair<string, Tensor>> Matrices(string name, Tensor a, Tensor b) =>
            [new($"{Outer}{name}.lora_A.weight", a), new($"{Outer}{name}.lora_B.weight", b)];

        static IEnumerable<KeyValuePair<string, Tensor>> Stacks(string module, ExpertsLora lora)
        {
            (string? gateUp, string? down) = ExpertTargets.Wrappers(lora.GateUp is not null, lora.Down is not null);
            return
            [
                .. gateUp is null ? [] : Matrices(module + gateUp, lora.GateUp!.A, lora.GateUp.B),
                .. down is null ? [] : Matrices(module + down, lora.Down!.A, lora.Down.B),
            ];
        }

        foreach (Pass pass in new[] { Pass.Decoder, Pass.Encoder })
        {
            foreach ((string module, (LoraPair? encoder, LoraPair? decoder)) in adapter.Pairs)
                if ((pass == Pass.Decoder ? decoder : encoder) is { } pair)
                    foreach (var matrix in Matrices(ModuleName(pass, module), pair.A, pair.B)) yield return matrix;
            foreach ((string module, (ExpertsLora? encoder, ExpertsLora? decoder)) in adapter.ExpertStacks)
                if ((pass == Pass.Decoder ? decoder : encoder) is { } stacks)
                    foreach (var matrix in Stacks(ModuleName(pass, module), stacks)) yield return matrix;
        }
    }

    public static void Write(LoraAdapter adapter, string folder, string baseModelNameOrPath, string? revision)
    {
        using var scope = NewDisposeScope();
        var tensors = Tensors(adapter).ToDictionary(t => t.Key, t => t.Value.detach().to(ScalarType.Float32).cpu());
        bool bothPasses = adapter.Pairs.Values.Any(p => p.Encoder is not null);
        string? pattern = LoraTargets.PeftPattern([.. adapter.Pairs.Keys], adapter.AllProjections, bothPasses);
        string config = adapter.Config.ToJson(baseModelNameOrPath, revision, pattern, ExpertTargets.List(adapter));
        try
        {
            using var update = new FolderUpdate(folder);
            SafetensorsFile.Write(update.PathOf(TensorFile), tensors, new Dictionary<string, string> { ["format"] = "pt" });
            File.WriteAllText(update.PathOf(PeftConfig.FileName), config);
            update.Commit(isStale: _ => false, key: name => name == PeftConfig.FileName);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new AdapterException(
                $"{folder}: the adapter cannot be written there ({e.Message}). What was there before is unchanged. Choose a folder that "
                + "can be written to.",
                e);
        }
    }

    public static LoraAdapter Read(string folder, DiffusionGemmaModel model)
    {
        PeftConfig config = PeftConfig.Load(folder);
        using SafetensorsFile file = Open(Path.Combine(folder, TensorFile));
        using var scope = NewDisposeScope();
        var reader = new Reader(file, Path.Combine(folder, TensorFile), config, model);
        var adapter = new LoraAdapter(config, model.Stack);
        foreach (Linear linear in model.Stack.Linears)
        {
            LoraPair? encoder = LoraTargets.IsDecoderOnly(linear.Name) ? null : reader.Pair(Pass.Encoder, linear);
            LoraPair? decoder = reader.Pair(Pass.Decoder, linear);
            if (encoder is not null || decoder is not null) adapter.Pairs[linear.Name] = (encoder, decoder);
        }
        foreach (Experts experts in model.Stack.Layers.Select(layer => layer.Experts))
        {
            (ExpertsLora? encoder, ExpertsLora? decoder) = (reader.Experts(Pass.Encoder, experts), reader.Experts(Pass.Decoder, experts));
            if (encoder is not null || decoder is not null) adapter.ExpertStacks[experts.Name] = (encoder, decoder);
        }
        reader.RequireAllRead();
        ShareEqualCopies(adapter);
        foreach ((_, Tensor tensor) in adapter.Parameters()) tensor.DetachFromDisposeScope();
        return adapter;
    }

    private static SafetensorsFile Open(string path)
    {
        if (!File.Exists(path)) throw new AdapterException($"{path} does not exist. Give the folder that PEFT or LoraAdapter.Save wrote.");
        try
        {
            return SafetensorsFile.Open(path);
        }
        catch (CheckpointException e)
        {
            throw new AdapterException(e.Message, e);
        }
    }

    /// <summary>Shares the two copies of every module where all are equal; a single difference keeps all apart.</summary>
    private static void ShareEqualCopies(LoraAdapter adapter)
    {
        static bool Same(Tensor a, Tensor b)
        {
            using Tensor same = a.eq(b).all();
            return same.item<bool>();
        }
        static bool SameDelta((Tensor A, Tensor B, double Scale) a, (Tensor A, Tensor B, double Scale) b) =>
            a.Scale == b.Scale && a.A.shape.SequenceEqual(b.A.shape) && Same(a.A, b.A) && Same(a.B, b.B);
        static bool SamePair(LoraPair? a, LoraPair? b) =>
            a is not null && b is not null && SameDelta((a.A, a.B, a.Scale), (b.A, b.B, b.Scale));
        static bool SameStack(ExpertStackLora? a, ExpertStackLora? b) =>
            a is null && b is null || a is not null && b is not null && SameDelta((a.A, a.B, a.Scale), (b.A, b.B, b.Scale));
        static bool SameStacks(ExpertsLora? a, ExpertsLora? b) =>
            a is not null && b is not null && SameStack(a.GateUp, b.GateUp) && SameStack(a.Down, b.Down);

        string[] projections = [.. adapter.Pairs.Keys.Where(module => !LoraTargets.IsDecoderOnly(module))];
        bool allSame = projections.All(p => SamePair(adapter.Pairs[p].Encoder, adapter.Pairs[p].Decoder))
            && adapter.ExpertStacks.Values.All(s => SameStacks(s.Encoder, s.Decoder));
        if (!allSame) return;
        foreach (string module in projections)
            adapter.Pairs[module] = (adapter.Pairs[module].Decoder, adapter.Pairs[module].Decoder);
        foreach (string module in adapter.ExpertStacks.Keys.ToList())
            adapter.ExpertStacks[module] = (adapter.ExpertStacks[module].Decoder, adapter.ExpertStacks[module].Decoder);
    }

    /// <summary>Reads an adapter's matrices from its file, into the caller's scope.</summary>
    private sealed class Reader(SafetensorsFile file, string path, PeftConfig config, DiffusionGemmaModel model)
    {
        private readonly HashSet<string> _unread = [.. file.Tensors.Keys];
        private readonly List<string> _adapted = [];
        private readonly bool _hasOlderStacks = HasOlderStacks(file, config, model);

        public LoraPair? Pair(Pass pass, Linear linear)
        {
            long[] shape = linear.Weight.Shape;
            string name = ModuleName(pass, linear.Name);
            int rank = config.RankOf(name);
            return Matrices(name, name, [rank, shape[1]], [shape[0], rank], rank) is (Tensor a, Tensor b)
                ? new LoraPair(a, b, config.ScaleOf(name))
                : null;
        }

        public ExpertsLora? Experts(Pass pass, Experts experts)
        {
            string module = ModuleName(pass, experts.Name);
            (string? gateUp, string? down) = ExpertTargets.Wrappers(config.TargetParameters, module);
            var lora = new ExpertsLora(
                gateUp is null ? null : Stack(module + gateUp, $"{module}.gate_up_proj", experts.GateUp),
                down is null ? null : Stack(module + down, $"{module}.down_proj", experts.Down));
            return lora is (null, null) ? null : lora;
        }

        public void RequireAllRead()
        {
            if (_unread.Count > 0)
                throw new AdapterException(
                    $"{path}: {_unread.Count} tensors belong to nothing that can be adapted here, the first is "
                    + $"'{_unread.Order(StringComparer.Ordinal).First()}'. "
                    + "Was the adapter made for another model? (Expert stacks must be named in target_parameters of "
                    + $"{PeftConfig.FileName}.)");
            (string, PeftPattern)[] patterns = [("rank_pattern", config.RankPattern), ("alpha_pattern", config.AlphaPattern)];
            foreach ((string key, PeftPattern pattern) in patterns)
                if (pattern.FindUnmatched(_adapted) is string unmatched)
                    throw new AdapterException(
                        $"{PeftConfig.FileName} beside {path}: '{key}' names '{unmatched}', which matches nothing that the adapter "
                        + "changes. Take it out, or convert the adapter with PEFT.");
            if (file.Tensors.Count == 0) throw new AdapterException($"{path} holds no tensors.");
        }

        private ExpertStackLora? Stack(string wrapper, string name, StoredWeight weight)
        {
            long experts = weight.Shape[0];
            int rank = config.RankOf(name);
            (long outputs, long inputs) = _hasOlderStacks ? (weight.Shape[2], weight.Shape[1]) : (weight.Shape[1], weight.Shape[2]);
            if (Matrices(wrapper, name, [experts * rank, inputs], [outputs, rank * experts], rank) is not (Tensor a, Tensor b)) return null;
            if (_hasOlderStacks) (a, b) = Transpose(a, b, (int)experts, rank);
            return new ExpertStackLora(a, b, (int)experts, config.ScaleOf(name));
        }

        /// <summary>Turns the older layout, whose deltas are each other's transposes, into the newer: Δᵀ = B A is Δ = Aᵀ Bᵀ.</summary>
        private static (Tensor A, Tensor B) Transpose(Tensor a, Tensor b, int experts, int rank) =>
        (
            b.view(b.shape[0], rank, experts).permute(2, 1, 0).contiguous().view(experts * rank, b.shape[0]),
            a.view(experts, rank, a.shape[1]).permute(2, 1, 0).contiguous().view(a.shape[1], rank * experts)
        );

        /// <summary>
        /// Decides which of two layouts the stacks have: PEFT up to 0.19.0 stores A [E·r, out] and B [in, r·E], from 0.19.1 on A [E·r, in]
        /// and B [out, r·E]. Without a version, a stack that fits the older alone decides for all; where all fit both it is the newer, our
        /// own.
        /// </summary>
        private static bool HasOlderStacks(SafetensorsFile file, PeftConfig config, DiffusionGemmaModel model)
        {
            if (config.PeftVersion is { } version) return version < new Version(0, 19, 1);
            foreach (Experts experts in model.Stack.Layers.Select(layer => layer.Experts))
                foreach (Pass pass in new[] { Pass.Decoder, Pass.Encoder })
                {
                    string module = ModuleName(pass, experts.Name);
                    (string? gateUp, string? down) = ExpertTargets.Wrappers(config.TargetParameters, module);
                    foreach ((string? wrapper, StoredWeight weight) in new[] { (gateUp, experts.GateUp), (down, experts.Down) })
                    {
                        if (wrapper is null) continue;
                        if (!file.Tensors.TryGetValue($"{Outer}{module}{wrapper}.lora_A.weight", out TensorInfo? a) || a.Shape.Count != 2)
                            continue;
                        if (a.Shape[1] != weight.Shape[2] && a.Shape[1] == weight.Shape[1]) return true;
                    }
                }
            return false;
        }

        // module: the name of the matrices; name: what patterns match, the module or the wrapped parameter.
        private (Tensor A, Tensor B)? Matrices(string module, string name, long[] shapeOfA, long[] shapeOfB, int rank)
        {
            string a = $"{Outer}{module}.lora_A.weight", b = $"{Outer}{module}.lora_B.weight";
            if (!file.Tensors.ContainsKey(a) && !file.Tensors.ContainsKey(b)) return null;
            Check(a, shapeOfA, rank);
            Check(b, shapeOfB, rank);
            _adapted.Add(name);
            return (Take(a), Take(b));
        }

        private void Check(string name, long[] expected, int rank)
        {
            if (!file.Tensors.TryGetValue(name, out TensorInfo? info))
                throw new AdapterException($"{path}: '{name}' is missing; its other half is there.");
            if (!info.Shape.SequenceEqual(expected))
                throw new AdapterException(
                    $"{path}: '{name}' is [{string.Join(',', info.Shape)}], expected [{string.Join(',', expected)}] for this model and r "
                    + $"= {rank}.");
            if (!SafetensorsDTypes.IsFloating(info.DType))
                throw new AdapterException($"{path}: '{name}' is {info.DType}, expected floating-point numbers.");
        }

        private Tensor Take(string name)
        {
            _unread.Remove(name);
            return file.Read(name, model.Device, model.DType.AtLeastFloat32());
        }
    }
}
