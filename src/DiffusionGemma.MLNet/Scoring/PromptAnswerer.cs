using Microsoft.ML;
using Microsoft.ML.Runtime;

namespace DiffusionGemma;

/// <summary>Answers prompts that are token ids already: the columns of <see cref="DiffusionGemmaTransformer"/>.</summary>
/// <param name="transformer">Owns the model.</param>
/// <param name="options">How to answer.</param>
/// <param name="context">Names the transformer in errors.</param>
internal sealed class PromptAnswerer(DiffusionGemmaTransformer transformer, AnswerOptions options, IExceptionContext context) : IRowAnswerer
{
    public AnswerOptions Options => options;

    public DiffusionGemmaTokenizer Tokenizer => transformer.Tokenizer;

    public IReadOnlyList<DataViewSchema.DetachedColumn> Outputs { get; } =
        [.. AnswerColumns.Outputs(options).Select(column => column.Detached)];

    public DataViewSchema.Column[] FindInputs(DataViewSchema schema) => AnswerColumns.FindInputs(schema, options, context);

    public Func<Question> ReadQuestion(DataViewRow row, DataViewSchema.Column[] inputs) => AnswerColumns.ReadQuestion(row, inputs);

    public IReadOnlyList<Answer> Answer(IReadOnlyList<Question> questions) => transformer.Answer(questions, options);

    public Delegate MakeGetter(int output, Func<Answer> answer) => AnswerColumns.MakeGetter(output, answer);
}
