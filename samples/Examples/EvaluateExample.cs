using Microsoft.ML;

namespace DiffusionGemma.Samples;

/// <summary>Measures an untrained checkpoint on held-out rows: losses by noise level, and answers by their number.</summary>
internal static class EvaluateExample
{
    public static void Run(ExampleArguments arguments)
    {
        var ml = new MLContext(seed: 42);
        ConsoleLog.Attach(ml);
        DiffusionGemmaCatalog gemma = ml.Transforms.DiffusionGemma;
        IDataView heldOut = ml.Data.TakeRows(
            ml.Data.LoadChatFromParquet(ExampleArguments.TestFile, questionColumn: "question", answerColumn: "answer"), 20);

        var prepare = gemma.TokenizeChat(arguments.Checkpoint)
            .Append(gemma.MaskResponse())
            .Append(gemma.PackCanvas(arguments.Checkpoint, maxLength: 256));
        using var model = prepare.Append(gemma.Answer(arguments.Checkpoint)).Fit(heldOut);

        EvaluationRecord loss = model.LastTransformer.EvaluateLoss(prepare.Fit(heldOut).Transform(heldOut));
        Console.WriteLine($"diffusion loss {loss.DiffusionLoss:F3}, encoder loss {loss.EncoderLoss:F3}");
        Console.WriteLine($"by noise level: {string.Join(" ", loss.DiffusionLossByNoise.Select(level => level.ToString("F2")))}");

        AnswerMetrics metrics = gemma.Evaluate(model, heldOut, AnswerMatch.Number);
        Console.WriteLine(metrics);
        foreach (AnswerResult row in ml.Data.CreateEnumerable<AnswerResult>(metrics.Results, reuseRowObject: false).Take(3))
            Console.WriteLine($"{(row.IsMatch ? "right" : "wrong")}: {row.Response.ReplaceLineEndings(" / ")}");
    }
}
