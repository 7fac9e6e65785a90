using System.Globalization;
using Microsoft.ML;

namespace DiffusionGemma;

/// <summary>Statistics of a data set as training would see it: lengths, canvases, and rows that are cut or left out.</summary>
public sealed record ChatDataSummary
{
    private readonly RowNoteCounts _notes = new();

    private ChatDataSummary()
    {
    }

    /// <summary>Tokens a row, before packing: of all rows.</summary>
    public RowHistogram Lengths { get; } = new();

    /// <summary>Canvases a row: of the rows that would be trained on.</summary>
    public RowHistogram Canvases { get; } = new();

    /// <summary>Tokens a row at most.</summary>
    public required int MaxLength { get; init; }

    /// <summary>Tokens a canvas.</summary>
    public required int CanvasLength { get; init; }

    /// <summary>All rows.</summary>
    public int Rows => Lengths.Count;

    /// <summary>Rows that would be trained on.</summary>
    public int TrainedRows => Canvases.Count;

    /// <summary>Rows that would be left out because they have no answer.</summary>
    public int UnansweredRows { get; private set; }

    /// <summary>Rows that would be left out because their answer is blank.</summary>
    public int EmptyAnswerRows => _notes.EmptyAnswers;

    /// <summary>Rows by key, of messages or row, that holds a value which the chat template does not write.</summary>
    public IReadOnlyDictionary<string, int> IgnoredKeys => _notes.IgnoredKeys;

    /// <summary>Rows that hold the text of special tokens, which become those tokens.</summary>
    public int SpecialTokenRows => _notes.SpecialTokens;

    /// <summary>Rows from which the model would not learn to end its turn.</summary>
    public int UnlearnedEndRows => _notes.UnlearnedEnds;

    /// <summary>Sentences on the chat template, such as that the model is asked with another prompt than it is trained on.</summary>
    public IReadOnlyList<string> TemplateNotices => _notes.TemplateNotices;

    /// <summary>Sentences on what training would miss, with the number of rows; empty where it misses nothing.</summary>
    public IReadOnlyList<string> Warnings => [.. _notes.Warnings()];

    /// <summary>Rows that would be left out because the cut takes all of their answer.</summary>
    public int LostRows { get; private set; }

    /// <summary>Rows that would be left out because the cut takes a part of their answer (<see cref="TruncatedRows.Drop"/>).</summary>
    public int DroppedRows { get; private set; }

    /// <summary>Rows that would be trained on with their answer cut short.</summary>
    public int CutRows { get; private set; }

    /// <summary>Tokens that would be cut off, of all rows.</summary>
    public long CutTokens { get; private set; }

    /// <summary>Supervised tokens of all rows, the fill included.</summary>
    public long SupervisedTokens { get; private set; }

    private string LeftOut => string.Create(CultureInfo.InvariantCulture,
        $"left out: {UnansweredRows} without an answer, {LostRows} that lose all of it to the cut, {EmptyAnswerRows} with an empty one")
        + (DroppedRows > 0 ? string.Create(CultureInfo.InvariantCulture, $", {DroppedRows} that lose a part of it") : "");

    /// <summary>A few lines for a person to read.</summary>
    public override string ToString() => string.Create(CultureInfo.InvariantCulture,
        $"""
        {Counted.Rows(Rows)}: {TrainedRows} to train on, {CutRows} of them cut short at {MaxLength} tokens; {LeftOut}
        tokens a row: {Lengths}
        canvases of {CanvasLength} a row: {Canvases}
        supervised tokens: {SupervisedTokens}; cut off: {CutTokens}
        """) + string.Concat(Warnings.Select(warning => $"\n{warning}"));

    /// <param name="masked">InputIds and LossMask.</param>
    /// <param name="columns">The names of the columns that tokenizing made.</param>
    /// <param name="options">How rows would be packed.</param>
    /// <exception cref="ChatDataException">A row cannot be read.</exception>
    internal static ChatDataSummary Create(IDataView masked, ChatTokenizingEstimator.Options columns, PackingOptions options)
    {
        var summary = new ChatDataSummary { MaxLength = options.MaxLength, CanvasLength = options.CanvasLength };
        DataViewSchema.Column ids = masked.Schema[columns.OutputColumnName], mask = masked.Schema[ChatColumns.LossMask],
            notes = masked.Schema[columns.NotesColumnName];
        using DataViewRowCursor cursor = masked.GetRowCursor([ids, mask, notes]);
        Func<int[]> readIds = Getters.ReadVector<int>(cursor, ids);
        Func<bool[]> readMask = Getters.ReadVector<bool>(cursor, mask);
        Func<string[]> readNotes = Getters.ReadTexts(cursor, notes);
        while (RowErrors.MoveNext(cursor))
        {
            (int[] row, bool[] supervised) = (readIds(), readMask());
            int start = Array.IndexOf(supervised, true);
            summary.Add(row, start < 0 ? row.Length : start, PackedRow.Pack(row, supervised, options), readNotes());
        }
        return summary;
    }

    private void Add(int[] ids, int promptLength, PackedRow row, string[] notes)
    {
        _notes.Add(notes);
        Lengths.Add(ids.Length);
        CutTokens += row.CutTokens;
        if (row.CanvasCount > 0)
        {
            Canvases.Add(row.CanvasCount);
            CutRows += row.CutTokens > 0 ? 1 : 0;
            SupervisedTokens += row.LossMask.Count(isSupervised => isSupervised);
        }
        else if (row.CutTokens > 0)
        {
            bool isLost = row.CutTokens >= ids.Length - promptLength;
            LostRows += isLost ? 1 : 0;
            DroppedRows += isLost ? 0 : 1;
        }
        else if (!notes.Contains(RowNote.EmptyAnswer))
        {
            UnansweredRows++;
        }
    }
}
