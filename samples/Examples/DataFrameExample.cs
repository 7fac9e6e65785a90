using Microsoft.Data.Analysis;
using Microsoft.ML;

namespace DiffusionGemma.Samples;

/// <summary>Fine-tunes on the rows of a DataFrame, and shows the history as one.</summary>
internal static class DataFrameExample
{
    public static void Run(ExampleArguments arguments)
    {
        var ml = new MLContext(seed: 42);
        DiffusionGemmaCatalog gemma = ml.Transforms.DiffusionGemma;
        int[] numbers = [.. Enumerable.Range(0, 100)];
        var frame = new DataFrame(
            new StringDataFrameColumn("question", numbers.Select(n => $"What is {n % 10} plus {n / 10}?")),
            new StringDataFrameColumn("answer", numbers.Select(n => $"{n % 10}+{n / 10}={n % 10 + n / 10}\n#### {n % 10 + n / 10}")));
        IDataView train = ml.Data.LoadChatFromDataFrame(
            frame, new ChatDataOptions { QuestionColumn = "question", AnswerColumn = "answer" });

        using var model = gemma.TokenizeChat(arguments.Checkpoint)
            .Append(gemma.MaskResponse())
            .Append(gemma.PackCanvas(arguments.Checkpoint, maxLength: 256))
            .Append(gemma.FineTune(arguments.Checkpoint, new FineTuneOptions
            {
                Lora = new LoraOptions { Rank = 16, Alpha = 32 },
                MaxSteps = arguments.Steps,
                Epochs = arguments.Steps,                       // passes over the rows until the steps are done
                WarmupSteps = arguments.Steps / 10,
                LearningRate = 1e-3,
            }))
            .Fit(train);
        DataFrame history = model.LastTransformer.Summary!.History.ToDataFrame();
        Console.WriteLine(history.Head(Math.Min(5, arguments.Steps)));
    }
}
