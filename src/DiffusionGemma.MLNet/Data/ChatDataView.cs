using System.Collections.Immutable;
using Microsoft.ML;
using Microsoft.ML.Data;
using Microsoft.ML.Runtime;

namespace DiffusionGemma;

/// <summary>Conversations as a data view with one text column.</summary>
/// <remarks>Every cursor reads the source again. Invalid rows are skipped as far as the options allow.</remarks>
internal sealed class ChatDataView : IDataView
{
    private readonly IHost _host;
    private readonly IChatSource _source;
    private readonly ChatDataOptions _options;
    private readonly ChatTokenizer? _tokenizer;
    private IReadOnlyList<ChatDataException> _skipped = [];

    public ChatDataView(IHostEnvironment environment, IChatSource source, ChatDataOptions options)
    {
        _host = environment.Register(nameof(ChatDataView));
        _source = source;
        _options = options;
        _tokenizer = options.Checkpoint is { } checkpoint
            ? CheckpointText.Read(HubDownloads.FindCheckpoint(environment, checkpoint), options.ChatTemplate).Tokenizer : null;
        var schema = new DataViewSchema.Builder();
        schema.AddColumn(options.OutputColumn, TextDataViewType.Instance);
        Schema = schema.ToSchema();
    }

    public DataViewSchema Schema { get; }

    public bool CanShuffle => false;

    public long? GetRowCount() => _options.MaxErrors == 0 ? _source.RowCount : null;

    /// <summary>The rows that were left out by the pass that last met one or came to its end.</summary>
    public IReadOnlyList<ChatDataException> Skipped => Volatile.Read(ref _skipped);

    public DataViewRowCursor GetRowCursor(IEnumerable<DataViewSchema.Column> columnsNeeded, Random? rand = null) =>
        new Cursor(this, active: columnsNeeded.Any(column => column.Index == 0));

    // The rows of one file come in order; a transform that can use several threads splits them itself.
    public DataViewRowCursor[] GetRowCursorSet(IEnumerable<DataViewSchema.Column> columnsNeeded, int n, Random? rand = null) =>
        [GetRowCursor(columnsNeeded, rand)];

    private sealed class Cursor(ChatDataView view, bool active) : RootCursorBase(view._host)
    {
        private readonly IEnumerator<RawChatRow> _rows = view._source.Rows().GetEnumerator();
        private ImmutableList<ChatDataException> _skipped = [];
        private long _number = -1;
        private string _text = "";

        public override DataViewSchema Schema => view.Schema;

        public override long Batch => 0;

        public override bool IsColumnActive(DataViewSchema.Column column)
        {
            CheckColumn(column);
            return active;
        }

        /// <summary>
        /// The row's number, counted from 0 over all files, skipped rows included; later steps name the row by it in their errors.
        /// </summary>
        public override ValueGetter<DataViewRowId> GetIdGetter() => (ref DataViewRowId id) => id = new DataViewRowId((ulong)_number, 0);

        public override ValueGetter<TValue> GetGetter<TValue>(DataViewSchema.Column column)
        {
            CheckColumn(column);
            ValueGetter<ReadOnlyMemory<char>> getter = (ref ReadOnlyMemory<char> value) => value = _text.AsMemory();
            return getter as ValueGetter<TValue>
                ?? throw new InvalidOperationException(
                    $"Column '{column.Name}' is text: its getter's type is ReadOnlyMemory<char>, not {typeof(TValue)}.");
        }

        protected override bool MoveNextCore()
        {
            while (_rows.MoveNext())
            {
                _number++;
                try
                {
                    _text = ChatRow.Read(_rows.Current, view._options, view._tokenizer);
                    return true;
                }
                catch (ChatDataException error) when (view._options.MaxErrors > 0)
                {
                    Skip(error);
                }
            }
            if (!_skipped.IsEmpty)
                Ch.Warning($"{_skipped.Count} of {Counted.Rows(_number + 1)} left out: no conversations");
            Volatile.Write(ref view._skipped, _skipped);
            return false;
        }

        private void Skip(ChatDataException error)
        {
            if (_skipped.Count == view._options.MaxErrors)
                throw new ChatDataException(
                    $"{error.Reason} ({Counted.Of(_skipped.Count, "bad row", "bad rows")} left out before it, and "
                    + $"{nameof(ChatDataOptions.MaxErrors)} allows no more)", error.Position, error);
            _skipped = _skipped.Add(error);
            Volatile.Write(ref view._skipped, _skipped);
            Ch.Warning($"row left out: {error.Message}");
        }

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
