namespace DiffusionGemma;

/// <summary>Ranks on <see cref="FineTuneOptions.Devices"/>, and workers on the threads of a CPU, that share a run's work.</summary>
public sealed record ParallelismOptions
{
    /// <summary>
    /// Ranks that share one set of all experts; divides the number of ranks and of experts. The rest is data parallelism: 8 ranks and 2
    /// here give 4 sets. Null: the largest number of one machine's ranks that divides both.
    /// </summary>
    public int? ExpertParallel { get; init; }

    /// <summary>
    /// Micro-batches that a rank on a CPU works on at the same time, dividing its torch threads: each has its own activations, and in full
    /// fine-tuning its own gradients. Null: as many as there are threads, micro-batches a step and memory
    /// (<see cref="RunOptions.MemoryBudget"/>, or the machine's), in full fine-tuning at most two. One takes the least memory. With experts
    /// split over ranks, and on other devices, there is one. They change losses by rounding alone.
    /// </summary>
    public int? Workers { get; init; }

    /// <summary>
    /// Time that a rank waits for the others before the run ends with an error: more than the slowest step or writing a checkpoint takes.
    /// Default: 10 minutes.
    /// </summary>
    public TimeSpan CollectiveTimeout { get; init; } = TimeSpan.FromMinutes(10);

    internal void Check(OptionFaults faults)
    {
        const string Group = nameof(FineTuneOptions.Parallel);
        faults.Require(ExpertParallel is null or >= 1, Group, nameof(ExpertParallel), ExpertParallel, "must be at least 1, or null");
        faults.Require(Workers is null or >= 1, Group, nameof(Workers), Workers, "must be at least 1, or null");
        faults.Require(
            CollectiveTimeout > TimeSpan.Zero || CollectiveTimeout == Timeout.InfiniteTimeSpan, Group, nameof(CollectiveTimeout),
            CollectiveTimeout,
            "must be positive, or infinite");
    }
}
