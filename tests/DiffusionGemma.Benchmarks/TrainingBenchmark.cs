namespace DiffusionGemma.Benchmarks;

/// <summary>
/// Seconds an optimiser step of four rows, a row a micro-batch, and peak memory: ours and the reference's algorithm, each in a process of
/// its own.
/// </summary>
internal static class TrainingBenchmark
{
    /// <param name="threads">Torch's threads.</param>
    /// <param name="quick">The small shape.</param>
    /// <param name="only">Only cases whose names contain it; null: all.</param>
    public static void Run(int threads, bool quick, string? only)
    {
        foreach (string kind in new[] { "full", "lora" })
            foreach (string precision in new[] { "fp32", "bf16" })
            {
                if (only is not null && !$"{kind}.{precision}".Contains(only, StringComparison.Ordinal)) continue;
                var ours = new TrainingCase(kind, precision, Threads: threads, Quick: quick);
                (TrainingMeasure measure, TrainingMeasure reference) =
                    (ours.InOwnProcess(), (ours with { Algorithm = "reference" }).InOwnProcess());
                string name = $"training.{kind}.{precision}";
                Figure.Print($"{name}.seconds", measure.Seconds, "s");
                Figure.Print($"{name}.peak_gib", measure.PeakGib, "GiB");
                Figure.Print($"{name}.ratio_time", measure.Speedup(reference, threads), "x");
                Figure.Print($"{name}.ratio_memory", measure.PeakGib / reference.PeakGib, "x");
            }
    }

    /// <summary>Growth of time and memory of full fine-tuning in float32, one dimension at a time. Without a limit of time.</summary>
    public static void Growth(int threads, bool quick)
    {
        var all = new TrainingCase("full", "fp32", Threads: threads, Quick: quick);
        foreach (int canvases in new[] { 1, 2, 4, 8 })
            Point("canvases", canvases, all with { Response = canvases * BenchmarkShape.Canvas });
        foreach (int experts in new[] { 8, 32, 128 }) Point("experts", experts, all with { Experts = experts });
        foreach (int tokens in new[] { 256, 512, 1024, 2048, 4096 })
            Point("tokens", tokens, all with { Response = 2 * BenchmarkShape.Canvas, Prompt = tokens - 2 * BenchmarkShape.Canvas });

        static void Point(string dimension, int size, TrainingCase ours)
        {
            (TrainingMeasure measure, TrainingMeasure reference) =
                (ours.InOwnProcess(), (ours with { Algorithm = "reference" }).InOwnProcess());
            Figure.Print($"growth.{dimension}.{size}.seconds", measure.Seconds, "s");
            Figure.Print($"growth.{dimension}.{size}.ratio_time", measure.Speedup(reference, ours.Threads), "x");
            Figure.Print($"growth.{dimension}.{size}.peak_gib", measure.PeakGib, "GiB");
        }
    }

    /// <summary>
    /// Planned memory divided by measured memory, at three sizes: rows of 384 and of 1 024 tokens, and four times the experts.
    /// </summary>
    public static void PlanCheck(int threads, bool quick)
    {
        foreach (string kind in new[] { "full", "lora" })
            foreach (string precision in new[] { "fp32", "bf16" })
            {
                var usual = new TrainingCase(kind, precision, Threads: threads, Quick: quick);
                Figure.Print($"plan.{kind}.{precision}.tokens384.ratio", usual.InOwnProcess().PlannedShare, "x");
                Figure.Print($"plan.{kind}.{precision}.tokens1024.ratio", (usual with { Prompt = 768 }).InOwnProcess().PlannedShare, "x");
                Figure.Print($"plan.{kind}.{precision}.experts128.ratio", (usual with { Experts = 128 }).InOwnProcess().PlannedShare, "x");
            }
    }
}
