using Microsoft.ML;
using Microsoft.ML.Data;
using Microsoft.ML.Runtime;

namespace DiffusionGemma;

/// <summary>Conversations as a data view with one text column, read anew by every cursor.</summary>
internal sealed class ChatDataView : IDataView
{
    private readonly IHost _host;
    private readonly IChatSource _source;

    public ChatDataView(IHostEnvironment environment, IChatSource source, string column)
    {
        _host = environment.Register(nameof(ChatDataView));
        _source = source;
        var schema = new DataViewSchema.Builder();
        schema.AddColumn(column, TextDataViewType.Instance);
        Schema = schema.ToSchema();
    }

    public DataViewSchema Schema { get; }

    public bool CanShuffle => false;

    public long? GetRowCount() => _source.RowCount;

    public DataViewRowCursor GetRowCursor(IEnumerable<DataViewSchema.Column> columnsNeeded, Random? rand = null) =>
        new Cursor(this, active: columnsNeeded.Any(column => column.Index == 0));

    // The rows of one file come in order; a transform that can use several threads splits them itself.
    public DataViewRowCursor[] GetRowCursorSet(IEnumerable<DataViewSchema.Column> columnsNeeded, int n, Random? rand = null) =>
        [GetRowCursor(columnsNeeded, rand)];

    private sealed class Cursor(ChatDataView view, bool active) : RootCursorBase(view._host)
    {
        private readonly IEnumerator<string> _rows = view._source.Rows().GetEnumerator();

        public override DataViewSchema Schema => view.Schema;

        public override long Batch => 0;

        public override bool IsColumnActive(DataViewSchema.Column column)
        {
            CheckColumn(column);
            return active;
        }

        /// <summary>The row's number, counted from 0 over all files: what later steps call the row in their errors.</summary>
        public override ValueGetter<DataViewRowId> GetIdGetter() => (ref DataViewRowId id) => id = new DataViewRowId((ulong)Position, 0);

        public override ValueGetter<TValue> GetGetter<TValue>(DataViewSchema.Column column)
        {
            CheckColumn(column);
            ValueGetter<ReadOnlyMemory<char>> getter = (ref ReadOnlyMemory<char> value) => value = _rows.Current.AsMemory();
            return getter as ValueGetter<TValue>
                ?? throw new InvalidOperationException($"Column '{column.Name}' is text: its getter's type is ReadOnlyMemory<char>, not {typeof(TValue)}.");
        }

        protected override bool MoveNextCore() => _rows.MoveNext();

        protected override void Dispose(bool disposing)
        {
            if (disposing)
                _rows.Dispose();
            base.Dispose(disposing);
        }

        private void CheckColumn(DataViewSchema.Column column)
        {
            if (column.Index != 0)
                throw new ArgumentOutOfRangeException(nameof(column), column.Index, $"The view has one column, '{view.Schema[0].Name}'.");
        }
    }
}
