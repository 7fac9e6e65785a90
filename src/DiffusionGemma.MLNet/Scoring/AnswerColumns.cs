using Microsoft.ML;
using Microsoft.ML.Runtime;

namespace DiffusionGemma;

/// <summary>The columns that scoring reads and adds.</summary>
internal static class AnswerColumns
{
    private static readonly TypedColumn InputIds = TypedColumn.Ints(ChatColumns.InputIds);
    private static readonly TypedColumn PromptLength = TypedColumn.Int(ChatColumns.PromptLength);

    public static IReadOnlyList<TypedColumn> Inputs { get; } = [InputIds, PromptLength];

    private static readonly TypedColumn[] Always =
    [
        TypedColumn.Text(ChatColumns.Response), TypedColumn.Ints(ChatColumns.ResponseIds), TypedColumn.Single(ChatColumns.TokensPerForward),
        TypedColumn.Int(ChatColumns.Steps),
    ];

    /// <summary>The columns that scoring adds.</summary>
    public static IReadOnlyList<TypedColumn> Outputs(AnswerOptions options) =>
        options.GivesErrors ? [.. Always, TypedColumn.Text(ChatColumns.ResponseError)] : Always;

    /// <summary>The input's columns, and after them the outputs.</summary>
    public static DataViewSchema AddTo(DataViewSchema input, AnswerOptions options)
    {
        var builder = new DataViewSchema.Builder();
        builder.AddColumns(input);
        foreach (TypedColumn output in Outputs(options))
            builder.AddColumn(output.Name, output.Type);
        return builder.ToSchema();
    }

    public static DataViewSchema.Column[] FindInputs(DataViewSchema schema, IExceptionContext context) =>
        [.. Inputs.Select(input => input.FindIn(schema, context))];

    /// <summary>Reads the current row's question.</summary>
    /// <remarks>A fault of the row, here or in the tokenizing step, is part of the question.</remarks>
    public static Func<Question> ReadQuestion(DataViewRow row, DataViewSchema.Column[] inputs)
    {
        Func<int[]> ids = Getters.ReadVector<int>(row, inputs[0]);
        Func<int> length = Getters.ReadValue<int>(row, inputs[1]);
        Func<ChatPosition> position = Getters.ReadPosition(row);
        return () =>
        {
            try
            {
                int[] all = ids();
                int prompt = length();
                return prompt >= 1 && prompt <= all.Length
                    ? new Question(all[..prompt], position())
                    : throw new ChatDataException($"{PromptLength.Name} is {prompt}, but {InputIds.Name} has {all.Length} tokens",
                        position());
            }
            catch (ChatDataException fault)
            {
                return new Question([], position(), fault);
            }
        };
    }

    public static Delegate MakeGetter(int output, Func<Answer> answer) => output switch
    {
        0 => Getters.Text(() => answer().Text),
        1 => Getters.Vector(() => answer().Ids),
        2 => Getters.Value(() => answer().TokensPerForward),
        3 => Getters.Value(() => answer().Steps),
        _ => Getters.Text(() => answer().Error),
    };
}
