using Microsoft.ML;
using static TorchSharp.torch;

namespace DiffusionGemma.Benchmarks;

/// <summary>
/// Right answers of tiny-chat after the LoRA run of samples/Arithmetic, over its weights in float32, bfloat16, 8 and 4 bits: three seeds,
/// 1 000 questions that were not trained on. A standard error is that of the mean over questions, each question's own mean being over the
/// seeds; a difference is of the same questions and seeds.
/// </summary>
internal static class QualityBenchmark
{
    private const int FirstSeed = 42;

    /// <param name="threads">Torch's threads.</param>
    /// <param name="quick">One seed, few steps and questions: to see that it runs.</param>
    /// <param name="only">Only forms whose names contain it; null: all.</param>
    public static void Run(int threads, bool quick, string? only)
    {
        set_num_threads(threads);
        (int seeds, int steps, int count) = quick ? (1, 12, 16) : (3, 300, 1000);
        (IReadOnlyList<QuestionAnswer> train, IReadOnlyList<QuestionAnswer> questions) = QualityQuestions.Make(count);
        double[]? reference = null;
        foreach (QualityForm form in QualityForm.All.Where(form => only is null || form.Name.Contains(only, StringComparison.Ordinal)))
        {
            double[] right = new double[count];
            for (int seed = FirstSeed; seed < FirstSeed + seeds; seed++)
            {
                bool[] matches = Answers(form, seed, steps, train, questions);
                Figure.Print($"quality.{form.Name}.seed{seed}", 100 * matches.Average(match => match ? 1.0 : 0), "%");
                for (int n = 0; n < count; n++) right[n] += (matches[n] ? 100.0 : 0) / seeds;
            }
            Figure.Print($"quality.{form.Name}.exact_match", right.Average(), "%");
            Figure.Print($"quality.{form.Name}.standard_error", StandardError(right), "points");
            if (reference is not null)
            {
                double[] apart = [.. right.Zip(reference, (own, other) => own - other)];
                Figure.Print($"quality.{form.Name}.difference", apart.Average(), "points");
                Figure.Print($"quality.{form.Name}.difference_standard_error", StandardError(apart), "points");
            }
            if (form == QualityForm.All[0]) reference = right;
        }
    }

    /// <summary>Trains, and returns which questions are answered with the expected number.</summary>
    private static bool[] Answers(
        QualityForm form, int seed, int steps, IReadOnlyList<QuestionAnswer> train, IReadOnlyList<QuestionAnswer> questions)
    {
        string checkpoint = Fixtures.Checkpoint("tiny-chat");
        var ml = new MLContext(seed);
        DiffusionGemmaCatalog gemma = ml.Transforms.DiffusionGemma;
        var options = new FineTuneOptions
        {
            Lora = new LoraOptions { Rank = 16, Alpha = 32 },
            Quantization = form.Quantization,
            MaxSteps = steps,
            WarmupSteps = Math.Min(25, steps / 4),
            LearningRate = 1e-3,
            Optimizer = new OptimizerOptions { MinLearningRate = 1e-4 },
            Run = new RunOptions { Precision = form.Precision },
        };
        var pipeline = gemma.TokenizeChat(checkpoint)
            .Append(gemma.MaskResponse())
            .Append(gemma.PackCanvas(checkpoint, maxLength: 512))
            .Append(gemma.FineTune(checkpoint, options, new GenerationOptions { Seed = seed }, batchSize: 16));
        using var model = pipeline.Fit(ml.Data.LoadChatFromEnumerable(train));
        AnswerMetrics metrics = gemma.Evaluate(model, ml.Data.LoadChatFromEnumerable(questions), AnswerMatch.Number);
        Figure.Note(
            $"{form.Name}, seed {seed}: loss {model.LastTransformer.Summary!.History[^1].Loss:F3}, {metrics}");
        return
        [
            .. ml.Data.CreateEnumerable<AnswerResult>(metrics.Results, reuseRowObject: false).OrderBy(r => r.Row).Select(r => r.IsMatch),
        ];
    }

    private static double StandardError(double[] values)
    {
        double mean = values.Average(), squares = values.Sum(value => (value - mean) * (value - mean));
        return Math.Sqrt(squares / (values.Length - 1) / values.Length);
    }
}
