using System.Diagnostics;
using TorchSharp;

namespace DiffusionGemma.Benchmarks;

/// <summary>
/// Training on 1, 2 and 4 CPU ranks of one thread, the same global batch; collectives by themselves; and what <see cref="StepSimulation"/>
/// says of both, and of 8, 64 and 512 GPUs. Figures without a kind are full fine-tuning's.
/// </summary>
internal static class ParallelBenchmark
{
    private static readonly int[] Ranks = [1, 2, 4];
    /// <summary>Until when all that is done for full fine-tuning, and then for LoRA, ends if a second run is to be made.</summary>
    private static readonly TimeSpan FullEnds = TimeSpan.FromMinutes(5), LoraEnds = TimeSpan.FromMinutes(8);

    public static void Run(bool quick)
    {
        DiffusionGemmaRuntime.EnsureUsable();
        var clock = Stopwatch.StartNew();
        var reached = new Dictionary<int, CollectiveBenchmark.Reached>();
        foreach (int ranks in Ranks[1..]) reached[ranks] = CollectiveBenchmark.Run(ranks, quick);
        Figure.Print("parallel.all_to_all.gbps", reached[2].AllToAll / 1e9, "GB/s");
        Figure.Print("parallel.reduce_scatter.gbps", reached[2].ReduceScatter / 1e9, "GB/s");
        int cores = Environment.ProcessorCount;

        foreach (string kind in new[] { "full", "lora" })
        {
            string name = kind == "full" ? "parallel" : $"parallel.{kind}";
            ParallelCase[] cases = [.. Ranks.Select(ranks => new ParallelCase(kind, ranks, quick))];
            TimeSpan before = clock.Elapsed;
            (CpuFigures alone, CpuFigures together) = CpuFigures.Measure(Math.Min(2, cores));
            Figure.Note($"a thread alone: {alone}; one of two at once: {together}");
            ParallelMeasure[] measures = [.. cases.Select(c => c.InOwnProcess())];
            if (2 * clock.Elapsed - before < (kind == "full" ? FullEnds : LoraEnds))
                measures = [.. cases.Zip(measures, (c, first) => first.Best(c.InOwnProcess()))];
            double one = measures[0].Seconds.Average();
            foreach ((ParallelCase c, ParallelMeasure measure) in cases.Zip(measures))
            {
                Figure.Print($"{name}.ranks{c.Ranks}.seconds", measure.Seconds.Average(), "s");
                Figure.Print($"{name}.ranks{c.Ranks}.processor_seconds", measure.ProcessorSeconds, "s");
                double difference = measure.Losses.Zip(measures[0].Losses, (a, b) => Math.Abs(a - b)).Max();
                Figure.Print($"{name}.ranks{c.Ranks}.loss_difference", difference * 1e6, "1e-6");
                Figure.Print($"{name}.ranks{c.Ranks}.collective_share", 100 * measure.CollectiveShare, "percent");
                Figure.Print($"{name}.ranks{c.Ranks}.scaling", one / measure.Seconds.Average(), "x");
            }
            foreach ((ParallelCase c, ParallelMeasure measure) in cases.Zip(measures).Skip(1))
            {
                StepSimulation simulated =
                    Predict(c, measures[0].ProcessorSeconds, alone, together, reached[c.Ranks], reached[2].Latency, cores);
                Figure.Note(simulated.ToString());
                double Error(double predicted, double measured) => 100 * Math.Abs(predicted - measured) / measured;
                Figure.Print($"{name}.simulated.ranks{c.Ranks}.seconds", simulated.Seconds, "s");
                Figure.Print($"{name}.simulated.ranks{c.Ranks}.error", Error(simulated.Seconds, measure.Seconds.Average()), "percent");
                // The clock counts what other programs take, and on a busy machine says little of the simulation. Who waits takes no
                // processor's time.
                double processor = Math.Min(c.Ranks, cores) * (simulated.Seconds - simulated.IdleSeconds);
                Figure.Print($"{name}.simulated.ranks{c.Ranks}.processor_seconds", processor, "s");
                Figure.Print($"{name}.simulated.ranks{c.Ranks}.processor_error", Error(processor, measure.ProcessorSeconds), "percent");
            }
        }
        // Adam makes steps of the smallest gradients, so float32's rounding shows in the losses of random weights; in float64 what is left
        // is the order of sums.
        double[][] losses = [.. Ranks.Select(ranks => new ParallelCase("full", ranks, Quick: true, Float64: true).InOwnProcess().Losses)];
        foreach ((int ranks, double[] got) in Ranks.Zip(losses).Skip(1))
        {
            double difference = got.Zip(losses[0], (a, b) => Math.Abs(a - b)).Max();
            Figure.Print($"parallel.float64.ranks{ranks}.loss_difference", difference * 1e12, "1e-12");
        }
        DiffusionGemmaConfig released = DiffusionGemmaConfig.Parse(ReleasedConfig.Json(perLayer: false), "config.json");
        foreach (int devices in SimulateCommand.Devices)
        {
            double Seconds(int? expertParallel) =>
                StepSimulation.Simulate(
                    released, SimulateCommand.Options(devices), torch.ScalarType.BFloat16, SimulateCommand.RowTokens, devices,
                    expertParallel, DeviceFigures.H100).Seconds;
            Figure.Print($"parallel.simulated.devices{devices}.seconds", Seconds(null), "s");
            double widest = Seconds(TrainingPlan.ExpertOwners(released, devices, null));
            Figure.Print($"parallel.simulated.devices{devices}.widest.seconds", widest, "s");
        }
    }

    /// <summary>
    /// A step on several ranks, from the processor time of one rank's step and from operators and collectives measured by themselves: of
    /// one rank's step what is not memory's, by the measured bandwidth, is products'; on more ranks both are as much slower as a thread is
    /// beside another. Nothing of the several ranks' own steps goes in. It is a prediction for a machine that does nothing else.
    /// </summary>
    private static StepSimulation Predict(
        ParallelCase c, double oneRank, CpuFigures alone, CpuFigures together, CollectiveBenchmark.Reached links, double latency, int cores)
    {
        DiffusionGemmaConfig config = DiffusionGemmaConfig.Load(BenchmarkShape.Checkpoint(c.Quick));
        int tokens = BenchmarkShape.DefaultPrompt + BenchmarkShape.DefaultResponse;
        StepSimulation Simulate(int ranks, DeviceFigures figures) =>
            StepSimulation.Simulate(config, c.Options, torch.ScalarType.Float32, tokens, ranks, null, figures);
        double bytes = Math.Min(links.AllToAll, links.ReduceScatter);
        var figures = new DeviceFigures
        {
            FlopsPerSecond = 1, MemoryBytesPerSecond = alone.MemoryBytes, LinkBytesPerSecond = bytes, NetworkBytesPerSecond = bytes,
            LatencySeconds = latency, DevicesPerMachine = c.Ranks, AtOnce = cores,
        };
        StepSimulation one = Simulate(1, figures);
        double products = oneRank - one.MemorySeconds;
        if (products <= 0)
            throw new InvalidOperationException(
                $"One rank's step took {oneRank} s, less than the {one.MemorySeconds} s that its memory is said to take.");
        double reached = one.StepFlops / products, beside = cores > 1 ? together.Flops / alone.Flops : 1;
        Figure.Note(
            $"{c.Kind}: one rank's products reach {reached / 1e9:F1} GFLOP/s, beside another {beside:P0} of it; "
            + $"its memory takes {one.MemorySeconds:F2} s of {oneRank:F2} s");
        return Simulate(c.Ranks, figures with { FlopsPerSecond = reached * beside, MemoryBytesPerSecond = together.MemoryBytes });
    }
}
