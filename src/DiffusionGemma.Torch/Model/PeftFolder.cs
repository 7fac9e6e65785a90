using static TorchSharp.torch;

namespace DiffusionGemma;

/// <summary>
/// Reads and writes a PEFT LoRA folder. In transformers the two passes hold their adapted modules separately over tied weights, so an
/// adapter for both is stored twice, under model.decoder. and model.encoder.language_model., with equal values.
/// </summary>
internal static class PeftFolder
{
    public const string TensorFile = "adapter_model.safetensors";
    public const string Outer = "base_model.model.", SuffixOfA = ".lora_A.weight", SuffixOfB = ".lora_B.weight";
    private const string Decoder = "model.decoder.", Encoder = "model.encoder.language_model.";

    /// <summary>Returns a module's name in transformers, where each pass has its own; the decoder's is the checkpoint's.</summary>
    public static string ModuleName(Pass pass, string module) => pass == Pass.Decoder ? module : Encoder + module[Decoder.Length..];

    /// <summary>Returns the PEFT name of a module's A.</summary>
    public static string NameOfA(string module) => Outer + module + SuffixOfA;

    /// <summary>Returns the PEFT name of a module's B.</summary>
    public static string NameOfB(string module) => Outer + module + SuffixOfB;

    /// <summary>Lists every tensor that can train by its PEFT name, the decoder's first.</summary>
    public static IEnumerable<KeyValuePair<string, Tensor>> Tensors(LoraAdapter adapter)
    {
        static IEnumerable<KeyValuePair<string, Tensor>> Matrices(string name, Tensor a, Tensor b) =>
            [new(NameOfA(name), a), new(NameOfB(name), b)];

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
        foreach ((string name, Tensor tensor) in adapter.Vision) tensors[name] = tensor;
        bool bothPasses = adapter.Pairs.Values.Any(p => p.Encoder is not null);
        string? pattern = LoraTargets.PeftPattern(
            [.. adapter.Pairs.Keys, .. adapter.Vision.Keys.Select(VisionLora.ModuleOf).Distinct()], adapter.AllProjections, bothPasses);
        string config = adapter.Config.ToJson(baseModelNameOrPath, revision, pattern, ExpertTargets.List(adapter));
        try
        {
            using var update = new FolderUpdate(folder);
            var sums = new Checksums();
            TensorSource[] sources = [.. tensors.Select(pair => TensorSource.FromTensor(pair.Key, pair.Value))];
            sums.Add(TensorFile, SafetensorsWriter.Write(
                update.PathOf(TensorFile), sources, new Dictionary<string, string> { ["format"] = "pt" }));
            File.WriteAllText(update.PathOf(PeftConfig.FileName), config);
            sums.Complete(update.Folder);
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

    public static LoraAdapter Read(string folder, DiffusionGemmaModel model, ExpertStackLayout? layout)
    {
        using IDisposable? trainable = InferenceMode.Leave();
        if (Checksums.FindDamage(folder) is { } damage) throw new AdapterException($"{folder} {damage}.");
        PeftConfig config = PeftConfig.Load(folder);
        using SafetensorsFile file = Open(Path.Combine(folder, TensorFile));
        using var scope = NewDisposeScope();
        var reader = new PeftReader(file, Path.Combine(folder, TensorFile), config, model, layout);
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
        foreach ((string name, Tensor tensor) in reader.Vision()) adapter.Vision[name] = tensor;
        reader.RequireAllRead();
        adapter.Notices = reader.Notices;
        ShareEqualCopies(adapter);
        foreach ((_, Tensor tensor) in adapter.Parameters().Concat(adapter.Vision)) tensor.DetachFromDisposeScope();
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
}
