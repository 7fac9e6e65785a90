using Microsoft.ML;
using Microsoft.ML.Data;

namespace DiffusionGemma.Samples;

/// <summary>Fine-tunes with a low-rank adapter, saves the model, loads it and answers.</summary>
internal static class LoraExample
{
    public static void Run(ExampleArguments arguments)
    {
        var ml = new MLContext(seed: 42);
        ConsoleLog.Attach(ml);
        DiffusionGemmaCatalog gemma = ml.Transforms.DiffusionGemma;
        IDataView train = ml.Data.LoadChatFromParquet(ExampleArguments.TrainFile, questionColumn: "question", answerColumn: "answer");

        var pipeline = gemma.TokenizeChat(arguments.Checkpoint)
            .Append(gemma.MaskResponse())
            .Append(gemma.PackCanvas(arguments.Checkpoint, maxLength: 256))
            .Append(gemma.FineTune(arguments.Checkpoint, new FineTuneOptions
            {
                Lora = new LoraOptions { Rank = 16, Alpha = 32 },
                MaxSteps = arguments.Steps,
                WarmupSteps = arguments.Steps / 10,
                LearningRate = 1e-3,                            // for the small checkpoint; the default suits the released one
            }));
        using var model = pipeline.Fit(train);

        string zip = arguments.OutFile("lora.zip");
        ml.Model.Save(model, train.Schema, zip);
        ITransformer loaded = ml.Model.Load(zip, out _);
        IDataView questions = ml.Data.LoadChatFromEnumerable([new QuestionAnswer("What is 8 plus 7?")]);
        foreach (string answer in loaded.Transform(questions).GetColumn<string>("Response")) Console.WriteLine(answer);
        (loaded as IDisposable)?.Dispose();
    }
}
