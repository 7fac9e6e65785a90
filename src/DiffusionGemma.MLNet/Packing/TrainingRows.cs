using Microsoft.ML;
using Microsoft.ML.Data;
using Microsoft.ML.Runtime;

namespace DiffusionGemma;

/// <summary>The packed rows of a data view, read once, with counts of those that are left out.</summary>
/// <param name="Examples">The rows.</param>
/// <param name="Counts">Counts of the rows by what became of them.</param>
internal sealed record TrainingRows(PackedRowStore Examples, RowCounts Counts) : IDisposable
{
    /// <param name="input">Packed rows.</param>
    /// <param name="host">Asked whether to go on.</param>
    /// <param name="options">Columns, and where rows are kept.</param>
    /// <exception cref="TrainingException">No row can be trained on, or they cannot be kept.</exception>
    /// <exception cref="ChatDataException">A row cannot be read.</exception>
    public static TrainingRows Read(IDataView input, IHost host, TrainingRowOptions? options = null)
    {
        options ??= new TrainingRowOptions();
        var examples = new PackedRowStore(options.MaxRowBytesInMemory, options.ScratchFolder);
        try
        {
            return Read(input, host, options, examples);
        }
        catch
        {
            examples.Dispose();
            throw;
        }
    }

    public void Dispose() => Examples.Dispose();

    private static TrainingRows Read(IDataView input, IHost host, TrainingRowOptions options, PackedRowStore examples)
    {
        DataViewSchema.Column[] columns = [.. options.Columns.Select(column => column.FindIn(input.Schema, host))];
        // Pipelines that were saved by earlier versions make no notes.
        DataViewSchema.Column? notes = input.Schema.GetColumnOrNull(options.NotesColumnName) is { } found
            && found.Type is VectorDataViewType { ItemType: TextDataViewType } ? found : null;
        int unanswered = 0, lost = 0, dropped = 0, cut = 0;
        var counts = new RowNoteCounts();
        using DataViewRowCursor cursor = input.GetRowCursor([.. columns, .. notes is { } wanted ? [wanted]
            : Array.Empty<DataViewSchema.Column>()]);
        Func<string[]> readNotes = notes is { } column ? Getters.ReadTexts(cursor, column) : () => [];
        Func<int[]> ids = Getters.ReadVector<int>(cursor, columns[0]);
        Func<bool[]> lossMask = Getters.ReadVector<bool>(cursor, columns[1]);
        Func<int>[] numbers = [.. columns[2..].Select(number => Getters.ReadValue<int>(cursor, number))];
        while (RowErrors.MoveNext(cursor))
        {
            host.CheckAlive();
            string[] rowNotes = readNotes();
            counts.Add(rowNotes);
            (int promptLength, int canvasCount, int paddedLength, int cutTokens) = (numbers[0](), numbers[1](), numbers[2](), numbers[3]());
            if (canvasCount > 0)
            {
                var example = new TrainingExample(ids(), lossMask(), promptLength, paddedLength);
                examples.Add(example);
                cut += cutTokens > 0 ? 1 : 0;
            }
            else if (cutTokens > 0)
            {
                bool isLost = cutTokens >= ids().Length - promptLength;
                lost += isLost ? 1 : 0;
                dropped += isLost ? 0 : 1;
            }
            else if (!rowNotes.Contains(RowNote.EmptyAnswer))
            {
                unanswered++;
            }
        }

        var result = new RowCounts(examples.Count, unanswered, lost, dropped, cut, counts);
        if (examples.Count == 0)
        {
            throw new TrainingException(result.All == 0
                ? "There are no rows to train on: the data view has none. Rows that were left out when they were loaded are warnings of "
                    + "MLContext.Log; GetSkippedChatRows lists them."
                : $"None of the {Counted.Rows(result.All)} can be trained on: {unanswered} have no answer (their last message is not the "
                    + $"assistant's), {counts.EmptyAnswers} have an empty one, and {lost + dropped} are cut at the maximum length. "
                    + "Give rows that end in an assistant's message, or raise PackCanvas' maxLength."
                    + string.Concat(counts.TemplateNotices.Select(notice => $" {notice}")));
        }
        return new TrainingRows(examples, result);
    }
}
