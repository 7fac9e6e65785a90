namespace DiffusionGemma;

/// <summary>Checkpoints that a run writes and can be resumed from.</summary>
public sealed record RunCheckpointOptions
{
    /// <summary>
    /// <see cref="Resume"/> from the newest whole checkpoint of <see cref="Folder"/>, or from the start where it holds none.
    /// </summary>
    public const string Latest = "latest";

    /// <summary>
    /// A folder for this run alone, locked while it goes on; each checkpoint is a folder step-NNNNNN in it, there whole or not at all.
    /// </summary>
    public required string Folder { get; init; }

    /// <summary>
    /// Steps between checkpoints. One is also written at the end, on cancellation, and on <see cref="Request"/>. One that cannot be written
    /// ends no run but is reported to <see cref="RunOptions.Notices"/>; only a cancelled run, which would be lost, throws. Default: 100.
    /// </summary>
    public int EverySteps { get; init; } = 100;

    /// <summary>Number of the newest checkpoints that are kept. Default: 2.</summary>
    public int Keep { get; init; } = 2;

    /// <summary>
    /// A checkpoint's folder, also by its name in <see cref="Folder"/>, or <see cref="Latest"/>; null: a new run, whose folder must hold no
    /// checkpoint. Checkpoints after the one that is resumed are renamed aside-step-NNNNNN.
    /// </summary>
    public string? Resume { get; init; }

    /// <summary>
    /// Names of options, as an error names them, that may differ from the resumed run's. Its losses then no longer equal those of a run
    /// that was never stopped.
    /// </summary>
    public IReadOnlyList<string> AcceptChanged { get; init; } = [];

    /// <summary>Asks a run for a checkpoint after its current step, from any thread; null: it is never asked.</summary>
    public CheckpointRequest? Request { get; init; }

    internal void Check(OptionFaults faults)
    {
        const string Group = nameof(FineTuneOptions.Checkpoints);
        faults.Require(!string.IsNullOrEmpty(Folder), Group, nameof(Folder), Folder, "must name a folder");
        faults.Require(EverySteps >= 1, Group, nameof(EverySteps), EverySteps, "must be at least 1");
        faults.Require(Keep >= 1, Group, nameof(Keep), Keep, "must be at least 1");
    }
}
