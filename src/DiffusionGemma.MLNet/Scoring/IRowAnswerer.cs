using Microsoft.ML;

namespace DiffusionGemma;

/// <summary>Answers rows a batch at a time, and says which columns it reads and which an answer becomes.</summary>
internal interface IRowAnswerer
{
    /// <summary>Batches, and treatment of rows that cannot be answered.</summary>
    AnswerOptions Options { get; }

    /// <summary>The tokenizer of the model that answers.</summary>
    DiffusionGemmaTokenizer Tokenizer { get; }

    /// <summary>The columns that are added.</summary>
    IReadOnlyList<DataViewSchema.DetachedColumn> Outputs { get; }

    /// <summary>The columns that are read.</summary>
    /// <exception cref="ArgumentOutOfRangeException">The view has no such column, or it has another type.</exception>
    DataViewSchema.Column[] FindInputs(DataViewSchema schema);

    /// <summary>Reads the row that is current when the result is called; a fault of the row is part of its question.</summary>
    Func<Question> ReadQuestion(DataViewRow row, DataViewSchema.Column[] inputs);

    /// <summary>Answers rows; one that cannot be answered has its fault in place of an answer.</summary>
    IReadOnlyList<Answer> Answer(IReadOnlyList<Question> questions);

    /// <summary>The getter of an added column.</summary>
    Delegate MakeGetter(int output, Func<Answer> answer);
}
