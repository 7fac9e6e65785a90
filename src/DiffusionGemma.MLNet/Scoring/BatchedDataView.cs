using Microsoft.ML;
using Microsoft.ML.Data;
using Microsoft.ML.Runtime;

namespace DiffusionGemma;

/// <summary>The input with the model's answers as further columns.</summary>
/// <remarks>
/// A cursor reads some batches of rows ahead, keeps the columns that are passed through, and returns the rows one by one. Where no answer
/// is needed, the model does not run.
/// </remarks>
internal sealed class BatchedDataView : IDataView
{
    private readonly IHost _host;
    private readonly IDataView _source;
    private readonly IRowAnswerer _answerer;
    private readonly DataViewSchema.Column[] _inputs;

    public BatchedDataView(IHost host, IDataView source, IRowAnswerer answerer)
    {
        _host = host;
        _source = source;
        _answerer = answerer;
        _inputs = answerer.FindInputs(source.Schema);
        Schema = AnswerColumns.AddTo(source.Schema, answerer);
    }

    /// <summary>The tokenizer of the model that answers.</summary>
    public DiffusionGemmaTokenizer Tokenizer => _answerer.Tokenizer;

    public DataViewSchema Schema { get; }

    public bool CanShuffle => _source.CanShuffle;

    public long? GetRowCount() => _source.GetRowCount();

    public DataViewRowCursor GetRowCursor(IEnumerable<DataViewSchema.Column> columnsNeeded, Random? rand = null)
    {
        bool[] active = Active(columnsNeeded);
        bool answers = active.AsSpan(_source.Schema.Count).Contains(true);
        DataViewSchema.Column[] needed = [.. _source.Schema.Where(column => active[column.Index] || answers && _inputs.Contains(column))];
        DataViewRowCursor input = answers ? OnThisThread(needed, rand) : _source.GetRowCursor(needed, rand);
        return new BatchedCursor(_host, Schema, active, input, _inputs, _answerer, answers);
    }

    /// <summary>Opens a cursor whose values are computed on the calling thread.</summary>
    /// <remarks>
    /// The ordinary one computes ahead on other threads and ends with the first row that fails there; tokenizing costs nothing compared
    /// with the model.
    /// </remarks>
    private DataViewRowCursor OnThisThread(DataViewSchema.Column[] needed, Random? rand)
    {
        DataViewRowCursor[] cursors = _source.GetRowCursorSet(needed, n: 1, rand);
        if (cursors is [var only])
            return only;
        foreach (DataViewRowCursor cursor in cursors)                                                      // a recommendation, not followed
            cursor.Dispose();
        return _source.GetRowCursor(needed, rand);
    }

    /// <remarks>
    /// The second, empty cursor is on purpose. Of a single cursor, a transform further down would split the rows over its threads, reading
    /// far ahead; several real ones would have the model answer interleaved batches.
    /// </remarks>
    public DataViewRowCursor[] GetRowCursorSet(IEnumerable<DataViewSchema.Column> columnsNeeded, int n, Random? rand = null)
    {
        DataViewSchema.Column[] needed = [.. columnsNeeded];
        DataViewRowCursor rows = GetRowCursor(needed, rand);
        return n <= 1 ? [rows] : [rows, new EmptyCursor(_host, Schema, Active(needed))];
    }

    private bool[] Active(IEnumerable<DataViewSchema.Column> columnsNeeded)
    {
        var active = new bool[Schema.Count];
        foreach (DataViewSchema.Column column in columnsNeeded)
            active[column.Index] = true;
        return active;
    }

    private sealed class EmptyCursor(IHost host, DataViewSchema schema, bool[] active) : RootCursorBase(host)
    {
        public override DataViewSchema Schema => schema;

        public override long Batch => 0;

        public override bool IsColumnActive(DataViewSchema.Column column) => active[column.Index];

        public override ValueGetter<TValue> GetGetter<TValue>(DataViewSchema.Column column) => (ref TValue _) => throw NoRow();

        public override ValueGetter<DataViewRowId> GetIdGetter() => (ref DataViewRowId _) => throw NoRow();

        protected override bool MoveNextCore() => false;

        private static InvalidOperationException NoRow() => new("The cursor has no rows.");
    }
}
