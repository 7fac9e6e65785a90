namespace DiffusionGemma;

/// <summary>Row counts and course of one training.</summary>
public sealed record FineTuneSummary
{
    /// <summary>Rows that were read.</summary>
    public required int Rows { get; init; }

    /// <summary>Rows that were trained on.</summary>
    public required int TrainedRows { get; init; }

    /// <summary>Rows left out because they have no answer: their last message is not the assistant's.</summary>
    public required int UnansweredRows { get; init; }

    /// <summary>Rows left out because the cut took a part of their answer (<see cref="TruncatedRows.Drop"/>).</summary>
    public int DroppedRows { get; init; }

    /// <summary>Rows left out because their answer is blank.</summary>
    public int EmptyAnswerRows { get; init; }

    /// <summary>Rows by key, of messages or row, that holds a value which the chat template does not write.</summary>
    public IReadOnlyDictionary<string, int> IgnoredKeys { get; init; } = new Dictionary<string, int>();

    /// <summary>Rows that hold the text of special tokens, which became those tokens.</summary>
    public int SpecialTokenRows { get; init; }

    /// <summary>Rows whose chat template writes the end of the turn outside the assistant's mask: it is not learned.</summary>
    public int UnlearnedEndRows { get; init; }

    /// <summary>
    /// Sentences on the chat template, such as that the model is asked with another prompt than it is trained on; usually none.
    /// </summary>
    public IReadOnlyList<string> TemplateNotices { get; init; } = [];

    /// <summary>Rows left out because the cut at the maximum length took all of their answer.</summary>
    public required int LostRows { get; init; }

    /// <summary>Rows that were trained on, but whose answer was cut short.</summary>
    public required int CutRows { get; init; }

    /// <summary>Names of the trained modules (LoRA) or tensors (full).</summary>
    public IReadOnlyList<string> TrainedTensors { get; init; } = [];

    /// <summary>The number of trained parameters.</summary>
    public long TrainedParameterCount { get; init; }

    /// <summary>One record an evaluation on held-out rows (<see cref="FineTuneOptions.Evaluation"/>).</summary>
    public IReadOnlyList<EvaluationRecord> Evaluations { get; init; } = [];

    /// <summary>Messages sent to <see cref="RunOptions.Notices"/>.</summary>
    public IReadOnlyList<string> Notices { get; init; } = [];

    /// <summary>The reason why training ended.</summary>
    public RunEnd End { get; init; }

    /// <summary>One record a step.</summary>
    public IReadOnlyList<StepRecord> History { get; init; } = [];
}
