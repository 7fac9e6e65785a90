using System.Globalization;
using Microsoft.ML;

namespace DiffusionGemma;

/// <summary>Statistics of a data set as training would see it: lengths, canvases, and rows that are cut or left out.</summary>
public sealed record ChatDataSummary
{
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

    /// <summary>Rows that would be left out because the cut takes all of their answer.</summary>
    public int LostRows { get; private set; }

    /// <summary>Rows that would be trained on with their answer cut short.</summary>
    public int CutRows { get; private set; }

    /// <summary>Tokens that would be cut off, of all rows.</summary>
    public long CutTokens { get; private set; }

    /// <summary>Supervised tokens of all rows, the fill included.</summary>
    public long SupervisedTokens { get; private set; }

    private string LeftOut => string.Create(CultureInfo.InvariantCulture,
        $"left out: {UnansweredRows} without an answer, {LostRows} that lose all of it to the cut");

    /// <summary>A few lines for a person to read.</summary>
    public override string ToString() => string.Create(CultureInfo.InvariantCulture,
        $"""
        {Rows} rows: {TrainedRows} to train on, {CutRows} of them cut short at {MaxLength} tokens; {LeftOut}
        tokens a row: {Lengths}
        canvases of {CanvasLength} a row: {Canvases}
        supervised tokens: {SupervisedTokens}; cut off: {CutTokens}
        """);

    /// <param name="masked">InputIds and LossMask.</param>
    /// <param name="options">How rows would be packed.</param>
    /// <exception cref="ChatDataException">A row cannot be read.</exception>
    internal static ChatDataSummary Create(IDataView masked, PackingOptions options)
    {
        var summary = new ChatDataSummary { MaxLength = options.MaxLength, CanvasLength = options.CanvasLength };
        DataViewSchema.Column ids = masked.Schema[ChatColumns.InputIds], mask = masked.Schema[ChatColumns.LossMask];
        using DataViewRowCursor cursor = masked.GetRowCursor([ids, mask]);
        Func<int[]> readIds = Getters.ReadVector<int>(cursor, ids);
        Func<bool[]> readMask = Getters.ReadVector<bool>(cursor, mask);
        while (RowErrors.MoveNext(cursor))
            summary.Add(readIds(), PackedRow.Pack(readIds(), readMask(), options));
        return summary;
    }

    private void Add(int[] ids, PackedRow row)
    {
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
            LostRows++;
        }
        else
        {
            UnansweredRows++;
        }
    }
}
