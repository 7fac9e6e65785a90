using static TorchSharp.torch;

namespace DiffusionGemma.Gpu;

/// <summary>
/// Part of stage 1: attention in the shapes of the released model's layers. Which of libtorch's kernels takes them, with heads of keys and
/// values as they are and repeated; whether its values and gradients are right; how long it takes.
/// </summary>
internal static class AttentionCheck
{
    /// <summary>bfloat16 has 8 bits of mantissa; probabilities, values and their sum are rounded once each.</summary>
    private const double Band = 0.02;

    private const int Calls = 10;

    public static void Run(GpuOptions options, GpuReport report)
    {
        ModelShape shape = options.IsQuick ? ModelShape.Small : ModelShape.Released;
        string folder = Directory.CreateTempSubdirectory("diffusiongemma-gpu-").FullName;
        DiffusionGemmaConfig config;
        try
        {
            shape.WriteConfig(folder, "bfloat16");
            config = DiffusionGemmaConfig.Load(folder);
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
        long past = shape.Prompt + shape.Response, canvas = config.CanvasLength, block = Math.Min(Attention.QueryBlock, past);
        foreach (LayerShape layer in Enumerable.Range(0, config.NumHiddenLayers).Select(config.Layer).DistinctBy(layer => layer.Kind))
            foreach ((string pass, long queries, long keys, bool masked) in new[]
            {
                ("decode", canvas, past + canvas, false), ("decode, padded", canvas, past + canvas, true),
                ("encode", block, past, true),
            })
                report.Part($"attention.{layer.Kind}.{pass}", () => One(layer, config.NumAttentionHeads, pass, queries, keys, masked));

        void One(LayerShape layer, int heads, string pass, long queries, long keys, bool masked)
        {
            using var scope = NewDisposeScope();
            using var generator = new Generator(1, CPU);
            Tensor Draw(long count, long positions) => randn([1, count, positions, layer.HeadDim], ScalarType.Float32, generator: generator)
                .div(Math.Sqrt(Math.Sqrt(layer.HeadDim))).to(ScalarType.BFloat16).to(options.Device).requires_grad_(true);
            Tensor q = Draw(heads, queries), k = Draw(layer.KeyValueHeads, keys), v = Draw(layer.KeyValueHeads, keys);
            Tensor weights = Draw(heads, queries).detach();
            Tensor? mask = masked
                ? ones([1, 1, queries, keys], ScalarType.Bool, options.Device).tril(keys - queries) : null;
            Tensor[] expected = Gradients(MetaForms.Attention(
                q.to(ScalarType.Float32), k.to(ScalarType.Float32), v.to(ScalarType.Float32), mask, 1));
            foreach (bool repeats in layer.KeyValueHeads == heads ? new[] { false } : [false, true])
            {
                (Tensor keysOf, Tensor valuesOf) = (Heads(k, repeats), Heads(v, repeats));
                string name = $"attention.{layer.Kind}.{pass}.{(repeats ? "repeated heads" : "grouped heads")}";
                string kernel = FusedAttention.NameOf(q, keysOf, valuesOf, mask, 1);
                bool isOurs = repeats == FusedAttention.NeedsEqualHeads(q, layer.KeyValueHeads, masked);
                Tensor[] got = Gradients(TorchOperators.Attention(q, keysOf, valuesOf, mask, 1));
                double largest = got.Zip(expected, ExpertsCheck.Difference).Max();
                report.Check(name, largest <= Band, largest, "",
                    $"relative difference of values and gradients, at most {Band}; kernel {kernel}{(isOurs ? ", this form runs" : "")}");
                using IDisposable quiet = no_grad();
                report.Figure($"{name}.seconds", DeviceClock.Seconds(options.Device, Calls, () =>
                {
                    using var inner = NewDisposeScope();
                    _ = TorchOperators.Attention(q, Heads(k, repeats), Heads(v, repeats), mask, 1);
                }), "s", $"forward, {heads} heads of {layer.HeadDim}, {queries} queries, {keys} keys; kernel {kernel}");
            }

            Tensor Heads(Tensor x, bool repeats) => repeats ? FusedAttention.RepeatHeads(x, heads / layer.KeyValueHeads) : x;

            // values, and the gradients of all three operands, which are then taken away
            Tensor[] Gradients(Tensor output)
            {
                (output * weights.to(output.dtype)).sum().backward();
                Tensor[] gradients = [.. new[] { q, k, v }.Select(x => x.grad!.clone())];
                foreach (Tensor x in new[] { q, k, v }) x.grad!.zero_();
                return [output.detach(), .. gradients];
            }
        }
    }
}
