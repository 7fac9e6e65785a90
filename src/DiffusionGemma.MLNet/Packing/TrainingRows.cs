using Microsoft.ML;
using Microsoft.ML.Data;
using Microsoft.ML.Runtime;

namespace DiffusionGemma;

/// <summary>The packed rows of a data view, read once, with counts of those that are left out.</summary>
/// <param name="Examples">The rows.</param>
/// <param name="Counts">Counts of the rows by what became of them.</param>
internal sealed record TrainingRows(PackedRowStore Examples, RowCounts Counts) : IDisposable
{
    public static IReadOnlyList<TypedColumn> Columns { get; } =
    [
        TypedColumn.Ints(ChatColumns.InputIds), TypedColumn.Bools(ChatColumns.LossMask), TypedColumn.Int(ChatColumns.PromptLength),
        TypedColumn.Int(ChatColumns.CanvasCount), TypedColumn.Int(ChatColumns.PaddedLength), TypedColumn.Int(ChatColumns.CutTokens),
    ];

    /// <param name="input">Packed rows.</param>
    /// <param name="host">Asked whether to go on.</param>
    /// <param name="maxBytesInMemory">As for <see cref="PackedRowStore"/>.</param>
    /// <param name="scratchFolder">As for <see cref="PackedRowStore"/>.</param>
    /// <exception cref="TrainingException">No row can be trained on, or they cannot be kept.</exception>
    /// <exception cref="ChatDataException">A row cannot be read.</exception>
    public static TrainingRows Read(IDataView input, IHost host, long maxBytesInMemory = PackedRowStore.DefaultMaxBytes,
        string? scratchFolder = null)
    {
        var examples = new PackedRowStore(maxBytesInMemory, scratchFolder);
        try
        {
            return Read(input, host, examples);
        }
        catch
        {
            examples.Dispose();
            throw;
        }
    }

    public void Dispose() => Examples.Dispose();

    private static TrainingRows Read(IDataView input, IHost host, PackedRowStore examples)
    {
        DataViewSchema.Column[] columns = [.. Columns.Select(column => column.FindIn(input.Schema, host))];
        int unanswered = 0, lost = 0, cut = 0;
        using DataViewRowCursor cursor = input.GetRowCursor(columns);
        Func<int[]> ids = Getters.ReadVector<int>(cursor, columns[0]);
        Func<bool[]> lossMask = Getters.ReadVector<bool>(cursor, columns[1]);
        Func<int>[] numbers = [.. columns[2..].Select(column => Getters.ReadValue<int>(cursor, column))];
        while (RowErrors.MoveNext(cursor))
        {
            host.CheckAlive();
            (int promptLength, int canvasCount, int paddedLength, int cutTokens) = (numbers[0](), numbers[1](), numbers[2](), numbers[3]());
            if (canvasCount > 0)
            {
                var example = new TrainingExample(ids(), lossMask(), promptLength, paddedLength);
                examples.Add(example);
                cut += cutTokens > 0 ? 1 : 0;
            }
            else if (cutTokens > 0)
            {
                lost++;
            }
            else
            {
                unanswered++;
            }
        }

        int rows = examples.Count + lost + unanswered;
        if (examples.Count == 0)
            throw new TrainingException(rows == 0
                ? "There are no rows to train on: the data view is empty."
                : $"None of the {rows} rows can be trained on: {unanswered} have no answer (their last message is not the assistant's), "
                    + $"and {lost} lost all of it to the "
                    + "cut at the maximum length. Give rows that end in an assistant's message, or raise PackCanvas' maxLength.");
        return new TrainingRows(examples, new RowCounts(examples.Count, unanswered, lost, cut));
    }
}
