using System.Diagnostics;
using static TorchSharp.torch;

namespace DiffusionGemma.Benchmarks;

/// <summary>
/// Batches of eight rows with one adapter, with four of them mixed, and with the base alone: seconds of one canvas in eight denoising steps
/// after a prompt of 128 tokens. The cases take turns, and each figure is the fastest of its runs. At one thread seconds are the process's
/// own, which other programs do not change.
/// </summary>
internal static class AdapterBenchmark
{
    private const int Prompt = 128, Steps = 8, Batch = 8, Adapters = 4, Rank = 16;

    public static void Run(int threads, bool quick)
    {
        using var model = DiffusionGemmaModel.Load(BenchmarkShape.Checkpoint(quick));
        set_num_threads(threads);
        Compare("adapters.projections", model, threads, quick, new LoraOptions { Rank = Rank });
        Compare("adapters.with_experts", model, threads, quick, new LoraOptions { Rank = Rank, Experts = true });
    }

    private static void Compare(string name, DiffusionGemmaModel model, int threads, bool quick, LoraOptions lora)
    {
        LoraAdapter[] adapters = [.. Enumerable.Range(1, Adapters).Select(seed => DrawnAdapter.Create(model, seed, 0.02, lora))];
        var random = new Random(1);
        int[][] prompts = [.. Enumerable.Range(0, Batch)
            .Select(_ => Enumerable.Range(0, Prompt).Select(_ => random.Next(8, model.Config.VocabularySize)).ToArray())];
        var options = new GenerationOptions
        {
            MaxNewTokens = model.Config.CanvasLength, MaxDenoisingSteps = Steps, ConfidenceThreshold = 1e-9, EosTokenIds = [],
        };
        double Seconds(Func<int, LoraAdapter?> adapterOf)
        {
            GenerationRequest[] requests = [.. prompts.Select((p, i) => new GenerationRequest(p) { Adapter = adapterOf(i) })];
            var clock = Stopwatch.StartNew();
            TimeSpan processor = ProcessorTime();
            CanvasGenerator.Generate(model, requests, options, Batch);
            return (threads == 1 ? ProcessorTime() - processor : clock.Elapsed).TotalSeconds;
        }
        double plain = double.PositiveInfinity, one = plain, own = plain, mixed = plain;
        for (int run = 0; run < (quick ? 3 : 4); run++)
        {
            plain = Math.Min(plain, Seconds(_ => LoraAdapter.None));
            model.Adapter = adapters[0];
            own = Math.Min(own, Seconds(_ => null));
            model.Adapter = null;
            one = Math.Min(one, Seconds(_ => adapters[0]));
            mixed = Math.Min(mixed, Seconds(i => adapters[i % Adapters]));
        }
        Figure.Print($"{name}.base_seconds", plain, "s");
        Figure.Print($"{name}.own_seconds", own, "s");
        Figure.Print($"{name}.one_seconds", one, "s");
        Figure.Print($"{name}.mixed_seconds", mixed, "s");
        Figure.Print($"{name}.mixed_speed", Math.Min(own, one) / mixed, "x of one adapter's");
        foreach (LoraAdapter adapter in adapters) adapter.Dispose();
    }

    private static TimeSpan ProcessorTime()
    {
        using Process process = Process.GetCurrentProcess();
        return process.TotalProcessorTime;
    }
}
