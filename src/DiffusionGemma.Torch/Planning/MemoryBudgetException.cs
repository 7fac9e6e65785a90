namespace DiffusionGemma;

/// <summary>A run that would take more memory than <see cref="RunOptions.MemoryBudget"/>; nothing was loaded or made for it.</summary>
public sealed class MemoryBudgetException : TrainingException
{
    internal MemoryBudgetException(TrainingPlan plan, long budget)
        : base(
            $"The run needs about {plan.TotalBytes / 1e9:F1} GB, more than FineTuneOptions.Run.MemoryBudget of {budget / 1e9:F1} GB: "
            + "lower FineTuneOptions.Run.MicroBatchSize or PackCanvas' maxLength, set FineTuneOptions.Run.ActivationCheckpointing, "
            + $"compute in bfloat16, or train with LoRA.\n{plan}") =>
        (Plan, Budget) = (plan, budget);

    /// <summary>The memory that the run needs.</summary>
    public TrainingPlan Plan { get; }

    /// <summary>The budget in bytes.</summary>
    public long Budget { get; }
}
