using Microsoft.ML;
using Microsoft.ML.Runtime;

namespace DiffusionGemma;

/// <summary>Answers texts with instances of a JSON schema, and reads their columns.</summary>
internal sealed class ExtractionAnswerer : IRowAnswerer
{
    private readonly DiffusionGemmaTransformer _answering;
    private readonly TypedColumn _input;
    private readonly TypedPrompt _prompt;
    private readonly AnswerValues _values;
    private readonly int _columns;
    private readonly bool _escapes;
    private readonly IExceptionContext _context;

    /// <param name="answering">Owns the model.</param>
    /// <param name="plan">Columns and prompt.</param>
    /// <param name="options">How to answer, the grammar included.</param>
    /// <param name="context">Names the transformer in errors.</param>
    public ExtractionAnswerer(DiffusionGemmaTransformer answering, ExtractionPlan plan, AnswerOptions options, IExceptionContext context)
    {
        _answering = answering;
        _input = TypedColumn.Text(plan.InputColumn);
        _prompt = plan.Prompt;
        _values = new AnswerValues(plan.Columns);
        _columns = plan.Columns.Count;
        _escapes = plan.EscapesSpecialTokens;
        _context = context;
        Options = options;
        Outputs = plan.Outputs(options);
    }

    public AnswerOptions Options { get; }

    public DiffusionGemmaTokenizer Tokenizer => _answering.Tokenizer;

    public IReadOnlyList<DataViewSchema.DetachedColumn> Outputs { get; }

    public DataViewSchema.Column[] FindInputs(DataViewSchema schema) => [_input.FindIn(schema, _context)];

    public Func<Question> ReadQuestion(DataViewRow row, DataViewSchema.Column[] inputs) =>
        TextQuestion.Reader(row, inputs[0], _prompt,
            _answering.Text.MakeTokenizer(new ChatTokenizerOptions { EscapeSpecialTokens = _escapes }));

    public IReadOnlyList<Answer> Answer(IReadOnlyList<Question> questions) =>
        [.. _answering.Answer(questions, Options).Select(answer => answer with { Values = _values.Read(answer.Content.Text) })];

    public Delegate MakeGetter(int output, Func<Answer> answer)
    {
        if (output < _columns) return _values.MakeGetter(output, () => answer().Values);
        return output == _columns ? Getters.Text(() => answer().Content.Text) : Getters.Text(() => answer().Error);
    }
}
