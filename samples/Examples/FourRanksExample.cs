using Microsoft.ML;
using static TorchSharp.torch;

namespace DiffusionGemma.Samples;

/// <summary>Trains on four ranks of the CPU in this process: each owns a quarter of the experts. GPUs are named in the same way.</summary>
internal static class FourRanksExample
{
    public static void Run(ExampleArguments arguments)
    {
        var ml = new MLContext(seed: 42);
        ConsoleLog.Attach(ml);
        DiffusionGemmaCatalog gemma = ml.Transforms.DiffusionGemma;
        IDataView train = ml.Data.LoadChatFromParquet(ExampleArguments.TrainFile, questionColumn: "question", answerColumn: "answer");

        using var model = gemma.TokenizeChat(arguments.Checkpoint)
            .Append(gemma.MaskResponse())
            .Append(gemma.PackCanvas(arguments.Checkpoint, maxLength: 256))
            .Append(gemma.FineTune(arguments.Checkpoint, new FineTuneOptions
            {
                Lora = new LoraOptions { Rank = 16, Alpha = 32 },
                Devices = Device.Cpu(4),
                MaxSteps = arguments.Steps,
                WarmupSteps = arguments.Steps / 10,
                LearningRate = 1e-3,
            }))
            .Fit(train);
        Console.WriteLine($"{model.LastTransformer.Summary!.History.Count} steps on four ranks");
    }
}
