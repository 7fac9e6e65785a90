using DiffusionGemma.FineTuning;
using Microsoft.ML;

namespace DiffusionGemma.Scoring;

/// <summary>Calls of the pipeline that take a token, cancelled before and at each place in the middle.</summary>
public sealed class CancelledCallsTests
{
    private readonly MLContext _ml = new(seed: 7);

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void Fine_tuning(bool withAnswerOptions)
    {
        IDataView rows = TinyChat.Questions(_ml, rows: 4);
        IDataView packed = TinyChat.Preparation(_ml).Fit(rows).Transform(rows);
        FineTuneOptions options = TinyChat.Lora with { MaxSteps = 3 };
        for (int at = -1; at < 1; at++)
        {
            using var cancel = new CancellationTokenSource();
            if (at < 0) cancel.Cancel();
            var progress = new Watch(record =>
            {
                if (record.Step == at) cancel.Cancel();
                Assert.True(record.Step <= at, "It went on.");
            });
            DiffusionGemmaCatalog gemma = _ml.Transforms.DiffusionGemma;
            DiffusionGemmaEstimator estimator = withAnswerOptions
                ? gemma.FineTune(TinyChat.Checkpoint, options, new AnswerOptions(), progress, cancellation: cancel.Token)
                : gemma.FineTune(TinyChat.Checkpoint, options, progress: progress, cancellation: cancel.Token);
            Assert.ThrowsAny<OperationCanceledException>(() => estimator.Fit(packed));
        }
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void Answers_that_begin_with_a_text(bool infills)
    {
        IDataView rows = TinyChat.Unanswered(_ml, "What is 8 plus 7?");
        DiffusionGemmaCatalog gemma = _ml.Transforms.DiffusionGemma;
        IDataView prompts = gemma.TokenizeChat(TinyChat.Checkpoint).Append(gemma.MaskResponse()).Fit(rows).Transform(rows);
        using DiffusionGemmaTransformer model = gemma.Answer(TinyChat.Checkpoint).Fit(prompts);
        for (int at = 0; at < 4; at++)
        {
            int passes = 0;
            using var cancel = new CancellationTokenSource();
            if (at == 0) cancel.Cancel();
            var options = new GenerationOptions
            {
                MaxDenoisingSteps = 24, ConfidenceThreshold = -1,
                StopCriterion = new Criterion(() =>
                {
                    if (++passes == at) cancel.Cancel();
                }),
            };
            string conversation = TinyChat.Row("What is 8 plus 7?");
            Assert.Throws<OperationCanceledException>(() => infills
                ? model.Infill(conversation, "It is <gap:4>", options, cancel.Token)
                : model.Refine(conversation, "It is 51.", options, cancel.Token));
            Assert.Equal(at, passes);
        }
    }

    private sealed class Watch(Action<StepRecord> report) : IProgress<StepRecord>
    {
        public void Report(StepRecord value) => report(value);
    }

    private sealed class Criterion(Action passed) : IStopCriterion
    {
        public bool IsFinished(CanvasState canvas)
        {
            passed();
            return false;
        }
    }
}
