using Microsoft.ML;

namespace DiffusionGemma.Samples;

/// <summary>Merges an adapter into its checkpoint: a Hugging Face folder that needs no adapter.</summary>
internal static class MergeExample
{
    public static void Run(ExampleArguments arguments)
    {
        var ml = new MLContext(seed: 42);
        DiffusionGemmaCatalog gemma = ml.Transforms.DiffusionGemma;
        IDataView train = ml.Data.LoadChatFromParquet(ExampleArguments.TrainFile, questionColumn: "question", answerColumn: "answer");
        using var model = gemma.TokenizeChat(arguments.Checkpoint)
            .Append(gemma.MaskResponse())
            .Append(gemma.PackCanvas(arguments.Checkpoint, maxLength: 256))
            .Append(gemma.FineTune(arguments.Checkpoint, new FineTuneOptions
            {
                Lora = new LoraOptions { Rank = 16, Alpha = 32 },
                MaxSteps = arguments.Steps,
                WarmupSteps = arguments.Steps / 10,
                LearningRate = 1e-3,
            }))
            .Fit(train);
        string folder = arguments.OutFile("merged");
        model.LastTransformer.SaveMerged(folder);
        foreach (string file in Directory.EnumerateFiles(folder).Order())
            Console.WriteLine($"{Path.GetFileName(file)}  {new FileInfo(file).Length:N0} bytes");
    }
}
