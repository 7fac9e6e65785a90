using Microsoft.ML;

namespace DiffusionGemma.Samples;

/// <summary>Fills the gaps of a response with what fits the text around them.</summary>
internal static class InfillExample
{
    public static void Run(ExampleArguments arguments)
    {
        var ml = new MLContext(seed: 42);
        DiffusionGemmaCatalog gemma = ml.Transforms.DiffusionGemma;
        IDataView questions = ml.Data.LoadChatFromEnumerable([new QuestionAnswer("What is 8 plus 7?")]);
        using var model = gemma.TokenizeChat(arguments.Checkpoint)
            .Append(gemma.MaskResponse())
            .Append(gemma.Answer(arguments.Checkpoint))
            .Fit(questions);

        DiffusionGemmaTransformer answering = gemma.AnsweringPart(model);
        TextAnswer filled = answering.Infill(ChatRows.ToJson("What is 8 plus 7?"), "8 plus <gap:1> is <gap:2>.");
        Console.WriteLine($"{filled.Text}   (gaps: {string.Join(", ", filled.Gaps)})");
    }
}
