using Microsoft.ML;
using Microsoft.ML.Runtime;

namespace DiffusionGemma;

/// <summary>The columns that scoring reads and adds.</summary>
internal static class AnswerColumns
{
    private static readonly TypedColumn[] Always =
    [
        TypedColumn.Text(ChatColumns.Response), TypedColumn.Ints(ChatColumns.ResponseIds), TypedColumn.Single(ChatColumns.TokensPerForward),
        TypedColumn.Int(ChatColumns.Steps), TypedColumn.Text(ChatColumns.Reasoning), TypedColumn.Text(ChatColumns.ToolCalls),
    ];

    /// <summary>The columns that scoring reads.</summary>
    public static IReadOnlyList<TypedColumn> Inputs(AnswerOptions options) =>
    [
        TypedColumn.Ints(options.InputIdsColumnName, StepNames.TokenizeChat),
        TypedColumn.Int(options.PromptLengthColumnName, StepNames.MaskResponse),
    ];

    /// <summary>The columns that scoring adds.</summary>
    public static IReadOnlyList<TypedColumn> Outputs(AnswerOptions options) =>
        options.GivesErrors ? [.. Always, TypedColumn.Text(ChatColumns.ResponseError)] : Always;

    /// <summary>The input's columns, and after them the outputs.</summary>
    public static DataViewSchema AddTo(DataViewSchema input, IRowAnswerer answerer)
    {
        var builder = new DataViewSchema.Builder();
        builder.AddColumns(input);
        foreach (DataViewSchema.DetachedColumn output in answerer.Outputs)
            builder.AddColumn(output.Name, output.Type, output.Annotations);
        return builder.ToSchema();
    }

    public static DataViewSchema.Column[] FindInputs(DataViewSchema schema, AnswerOptions options, IExceptionContext context) =>
        [.. Inputs(options).Select(input => input.FindIn(schema, context))];

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
                    : throw new ChatDataException($"{inputs[1].Name} is {prompt}, but {inputs[0].Name} has {all.Length} tokens",
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
        0 => Getters.Text(() => answer().Content.Text),
        1 => Getters.Vector(() => answer().Ids),
        2 => Getters.Value(() => answer().TokensPerForward),
        3 => Getters.Value(() => answer().Steps),
        4 => Getters.Text(() => answer().Content.Reasoning),
        5 => Getters.Text(() => answer().ToolCalls),
        _ => Getters.Text(() => answer().Error),
    };
}
