using Microsoft.ML;

namespace DiffusionGemma.Samples;

/// <summary>Exports an adapter in PEFT's format, and puts it on a freshly loaded model.</summary>
internal static class PeftExample
{
    public static void Run(ExampleArguments arguments)
    {
        var ml = new MLContext(seed: 42);
        DiffusionGemmaCatalog gemma = ml.Transforms.DiffusionGemma;
        IDataView train = ml.Data.LoadChatFromParquet(ExampleArguments.TrainFile, questionColumn: "question", answerColumn: "answer");
        string adapter = arguments.OutFile("adapter");
        using (var model = gemma.TokenizeChat(arguments.Checkpoint)
            .Append(gemma.MaskResponse())
            .Append(gemma.PackCanvas(arguments.Checkpoint, maxLength: 256))
            .Append(gemma.FineTune(arguments.Checkpoint, new FineTuneOptions
            {
                Lora = new LoraOptions { Rank = 16, Alpha = 32 },
                MaxSteps = arguments.Steps,
                WarmupSteps = arguments.Steps / 10,
                LearningRate = 1e-3,
            }))
            .Fit(train))
        {
            model.LastTransformer.SaveAdapter(adapter);
        }
        foreach (string file in Directory.EnumerateFiles(adapter).Order()) Console.WriteLine(Path.GetFileName(file));

        using DiffusionGemmaModel fresh = DiffusionGemmaModel.Load(HubRepository.DownloadAsync(arguments.Checkpoint).Result);
        using LoraAdapter loaded = LoraAdapter.Load(adapter, fresh);
        fresh.Adapter = loaded;
        Console.WriteLine($"{loaded.Modules.Count} modules of rank {loaded.Rank}, {loaded.ParameterCount:N0} parameters");
    }
}
