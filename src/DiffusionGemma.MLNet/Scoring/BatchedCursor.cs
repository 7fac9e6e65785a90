using Microsoft.ML;
using Microsoft.ML.Data;
using Microsoft.ML.Runtime;

namespace DiffusionGemma;

/// <summary>The cursor of <see cref="BatchedDataView"/>.</summary>
internal sealed class BatchedCursor : RootCursorBase
{
    private readonly IHost _host;
    private readonly bool[] _active;
    private readonly DataViewRowCursor _input;
    private readonly IRowAnswerer _answerer;
    private readonly bool _answersRows;
    private readonly Func<Question>? _readQuestion;
    private readonly ColumnBuffer?[] _buffers;
    private readonly ValueGetter<DataViewRowId> _getId;
    private readonly DataViewRowId[] _ids;
    private IReadOnlyList<Answer> _answers = [];
    private int _count;
    private int _row;
    private long _batch = -1;

    /// <param name="host">Names the transformer in errors.</param>
    /// <param name="schema">The input's columns and then the answer's.</param>
    /// <param name="active">Which of those are asked for.</param>
    /// <param name="input">Becomes this cursor's own.</param>
    /// <param name="inputs">The columns with the prompt.</param>
    /// <param name="answerer">Answers rows.</param>
    /// <param name="answersRows">False where no answer is asked for.</param>
    public BatchedCursor(IHost host, DataViewSchema schema, bool[] active, DataViewRowCursor input, DataViewSchema.Column[] inputs,
        IRowAnswerer answerer, bool answersRows)
        : base(host)
    {
        _host = host;
        Schema = schema;
        _active = active;
        _input = input;
        _answerer = answerer;
        _answersRows = answersRows;
        _readQuestion = answersRows ? answerer.ReadQuestion(input, inputs) : null;
        int rows = answersRows ? checked(answerer.Options.BatchSize * answerer.Options.BatchesAhead) : 1;
        _buffers = [.. input.Schema.Select(column => active[column.Index] ? ColumnBuffer.Create(input, column, rows) : null)];
        _getId = input.GetIdGetter();
        _ids = new DataViewRowId[rows];
    }

    public override DataViewSchema Schema { get; }

    public override long Batch => _batch;

    public override bool IsColumnActive(DataViewSchema.Column column) => _active[column.Index];

    public override ValueGetter<DataViewRowId> GetIdGetter() => (ref DataViewRowId id) => id = _ids[CurrentRow()];

    public override ValueGetter<TValue> GetGetter<TValue>(DataViewSchema.Column column)
    {
        if (!_active[column.Index])
            throw new ArgumentException($"Column '{column.Name}' was not asked for when the cursor was made.", nameof(column));
        Delegate getter = column.Index < _buffers.Length
            ? _buffers[column.Index]!.MakeGetter(CurrentRow)
            : _answerer.MakeGetter(column.Index - _buffers.Length, () => _answers[CurrentRow()]);
        return getter as ValueGetter<TValue>
            ?? throw new ArgumentException($"Column '{column.Name}' has values of {column.Type.RawType}, not of {typeof(TValue)}.",
                nameof(column));
    }

    protected override bool MoveNextCore()
    {
        if (++_row >= _count)
            ReadAhead();
        if (_count == 0)
            return false;
        if (_answersRows)
            _answers[_row].OrThrow(_answerer.Options);
        return true;
    }

    protected override void Dispose(bool disposing)
    {
        if (disposing)
            _input.Dispose();
        base.Dispose(disposing);
    }

    private void ReadAhead()
    {
        _row = _count = 0;
        var questions = new List<Question>();
        bool failed = false;
        // A row that ends the pass is the last to be read: those before it are answered and handed out.
        while (_count < _ids.Length && !(failed && !_answerer.Options.GivesErrors) && RowErrors.MoveNext(_input))
        {
            if (_readQuestion is not null)
                questions.Add(_readQuestion());
            failed = questions is [.., { Fault: not null }];
            foreach (ColumnBuffer? buffer in _buffers)
                Capture(buffer, failed);
            _getId(ref _ids[_count++]);
        }
        if (_count == 0)
            return;
        _host.CheckAlive();
        if (_answersRows)
            _answers = _answerer.Answer(questions);
        _batch++;
    }

    /// <summary>Keeps the current values of a column; a row that could not be tokenized has empty columns of tokens.</summary>
    private void Capture(ColumnBuffer? buffer, bool failed)
    {
        try
        {
            buffer?.Capture(_count);
        }
        catch (ChatDataException) when (failed)
        {
            buffer!.Clear(_count);
        }
    }

    private int CurrentRow() => Position >= 0 ? _row
        : throw new InvalidOperationException("The cursor is not on a row: call MoveNext first.");
}
