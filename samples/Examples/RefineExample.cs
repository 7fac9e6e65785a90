using Microsoft.ML;

namespace DiffusionGemma.Samples;

/// <summary>Refines a draft of a response: denoising starts from its tokens instead of random ones.</summary>
internal static class RefineExample
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

        const string Draft = "8 plus 7 is 16.";
        TextAnswer refined = gemma.AnsweringPart(model).Refine(ChatRows.ToJson("What is 8 plus 7?"), Draft);
        Console.WriteLine($"{Draft} -> {refined.Text}");
    }
}
