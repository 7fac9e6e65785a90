using Microsoft.ML;
using Microsoft.ML.Data;

namespace DiffusionGemma;

/// <summary>Answers one row at a time: what a prediction engine asks for.</summary>
internal sealed class AnswerRowMapper : IRowToRowMapper
{
    private readonly IRowAnswerer _answerer;
    private readonly DataViewSchema.Column[] _inputs;

    public AnswerRowMapper(DataViewSchema input, IRowAnswerer answerer)
    {
        _answerer = answerer;
        _inputs = answerer.FindInputs(input);
        InputSchema = input;
        OutputSchema = AnswerColumns.AddTo(input, answerer);
    }

    public DataViewSchema InputSchema { get; }

    public DataViewSchema OutputSchema { get; }

    public IEnumerable<DataViewSchema.Column> GetDependencies(IEnumerable<DataViewSchema.Column> dependingColumns)
    {
        DataViewSchema.Column[] depending = [.. dependingColumns];
        bool answers = depending.Any(column => column.Index >= InputSchema.Count);
        return InputSchema.Where(column => depending.Any(other => other.Index == column.Index) || answers && _inputs.Contains(column));
    }

    public DataViewRow GetRow(DataViewRow input, IEnumerable<DataViewSchema.Column> activeColumns)
    {
        ArgumentNullException.ThrowIfNull(input);
        if (!ReferenceEquals(input.Schema, InputSchema))
            throw new ArgumentException("The row has another schema than the mapper.", nameof(input));
        var active = new bool[OutputSchema.Count];
        foreach (DataViewSchema.Column column in activeColumns)
            active[column.Index] = true;
        return new Row(this, input, active);
    }

    private sealed class Row : DataViewRow
    {
        private readonly AnswerRowMapper _mapper;
        private readonly DataViewRow _input;
        private readonly bool[] _active;
        private readonly Func<Answer>? _answer;

        public Row(AnswerRowMapper mapper, DataViewRow input, bool[] active)
        {
            _mapper = mapper;
            _input = input;
            _active = active;
            if (!active.AsSpan(mapper.InputSchema.Count).Contains(true))
                return;
            IRowAnswerer answerer = mapper._answerer;
            Func<Question> question = answerer.ReadQuestion(input, mapper._inputs);
            _answer = Getters.OncePerRow(input, () => answerer.Answer([question()])[0].OrThrow(answerer.Options));
        }

        public override DataViewSchema Schema => _mapper.OutputSchema;

        public override long Position => _input.Position;

        public override long Batch => _input.Batch;

        public override ValueGetter<DataViewRowId> GetIdGetter() => _input.GetIdGetter();

        public override bool IsColumnActive(DataViewSchema.Column column) => _active[column.Index];

        public override ValueGetter<TValue> GetGetter<TValue>(DataViewSchema.Column column)
        {
            if (!_active[column.Index])
                throw new ArgumentException($"Column '{column.Name}' was not asked for when the row was made.", nameof(column));
            int inputs = _mapper.InputSchema.Count;
            if (column.Index < inputs)
                return _input.GetGetter<TValue>(_input.Schema[column.Index]);
            return _mapper._answerer.MakeGetter(column.Index - inputs, _answer!) as ValueGetter<TValue>
                ?? throw new ArgumentException($"Column '{column.Name}' has values of {column.Type.RawType}, not of {typeof(TValue)}.",
                    nameof(column));
        }

        protected override void Dispose(bool disposing)
        {
            if (disposing)
                _input.Dispose();
            base.Dispose(disposing);
        }
    }
}
