using Microsoft.ML;

namespace DiffusionGemma.Samples;

/// <summary>Stops a run half way, and goes on where it was: the losses are those of a run that was never stopped.</summary>
internal static class ResumeExample
{
    public static void Run(ExampleArguments arguments)
    {
        var ml = new MLContext(seed: 42);
        ConsoleLog.Attach(ml);
        DiffusionGemmaCatalog gemma = ml.Transforms.DiffusionGemma;
        IDataView train = ml.Data.LoadChatFromParquet(ExampleArguments.TrainFile, questionColumn: "question", answerColumn: "answer");
        var prepare = gemma.TokenizeChat(arguments.Checkpoint)
            .Append(gemma.MaskResponse())
            .Append(gemma.PackCanvas(arguments.Checkpoint, maxLength: 256));
        var options = new FineTuneOptions
        {
            Lora = new LoraOptions { Rank = 16, Alpha = 32 },
            MaxSteps = arguments.Steps,
            WarmupSteps = arguments.Steps / 10,
            LearningRate = 1e-3,
            Checkpoints = new RunCheckpointOptions
            {
                Folder = arguments.OutFile("resume"),
                EverySteps = 10,
                Resume = RunCheckpointOptions.Latest,           // from the start where there is none
            },
        };

        using var half = new CancellationTokenSource();
        var stop = new StopAfter(arguments.Steps / 2, half);
        try
        {
            using var _ = prepare
                .Append(gemma.FineTune(arguments.Checkpoint, options, progress: stop, cancellation: half.Token))
                .Fit(train);
            Console.WriteLine("An earlier run had finished.");
        }
        catch (OperationCanceledException)
        {
            Console.WriteLine("Stopped, with a checkpoint.");
        }

        using var model = prepare.Append(gemma.FineTune(arguments.Checkpoint, options)).Fit(train);
        Console.WriteLine($"Finished: {model.LastTransformer.Summary!.History.Count} steps in all.");
    }

    /// <summary>Cancels a run after a number of steps, as Ctrl+C would.</summary>
    private sealed class StopAfter(int steps, CancellationTokenSource source) : IProgress<StepRecord>
    {
        public void Report(StepRecord value)
        {
            if (value.Step + 1 == steps) source.Cancel();
        }
    }
}
