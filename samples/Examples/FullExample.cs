using Microsoft.ML;

namespace DiffusionGemma.Samples;

/// <summary>Fine-tunes every weight but those of the routers into a Hugging Face folder.</summary>
internal static class FullExample
{
    public static void Run(ExampleArguments arguments)
    {
        var ml = new MLContext(seed: 42);
        ConsoleLog.Attach(ml);
        DiffusionGemmaCatalog gemma = ml.Transforms.DiffusionGemma;
        IDataView train = ml.Data.LoadChatFromParquet(ExampleArguments.TrainFile, questionColumn: "question", answerColumn: "answer");
        string folder = arguments.OutFile("full");

        var pipeline = gemma.TokenizeChat(arguments.Checkpoint)
            .Append(gemma.MaskResponse())
            .Append(gemma.PackCanvas(arguments.Checkpoint, maxLength: 256))
            .Append(gemma.FineTune(arguments.Checkpoint, new FineTuneOptions
            {
                Lora = null,
                OutputFolder = folder,
                MaxSteps = arguments.Steps,
                WarmupSteps = arguments.Steps / 10,
                LearningRate = 1e-3,
            }));
        using var model = pipeline.Fit(train);
        Console.WriteLine($"{model.LastTransformer.Summary!.TrainedParameterCount:N0} parameters were trained: {folder}");

        // The folder is a checkpoint like any other.
        using DiffusionGemmaModel trained = DiffusionGemmaModel.Load(folder);
        Console.WriteLine($"{trained.Config.NumHiddenLayers} layers, canvases of {trained.Config.CanvasLength} tokens");
    }
}
