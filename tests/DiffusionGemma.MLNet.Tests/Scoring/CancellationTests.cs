using System.Reflection;
using DiffusionGemma.FineTuning;
using Microsoft.ML;
using Microsoft.ML.Data;

namespace DiffusionGemma.Scoring;

/// <summary>Scoring ends between two passes of the decoder.</summary>
public sealed class CancellationTests
{
    private readonly MLContext _ml = new(seed: 7);

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void The_caller_s_token_is_seen_before_the_next_pass(bool returnOnCancellation)
    {
        using var source = new CancellationTokenSource();
        (IDataView scored, Watch watch) = Scored(source.Cancel, returnOnCancellation, source.Token);
        Assert.ThrowsAny<OperationCanceledException>(() => scored.GetColumn<string>("Response").ToArray());
        Assert.Equal(5, watch.Passes);
        Assert.ThrowsAny<OperationCanceledException>(() => scored.GetColumn<string>("Response").ToArray());
        Assert.Equal(5, watch.Passes);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void A_cancelled_context_is_seen_before_the_next_pass(bool returnOnCancellation)
    {
        // ML.NET keeps the method to itself and its own tools.
        MethodInfo cancel = typeof(MLContext).GetMethod("CancelExecution",
            BindingFlags.Instance | BindingFlags.NonPublic | BindingFlags.Public)!;
        (IDataView scored, Watch watch) = Scored(() => cancel.Invoke(_ml, null), returnOnCancellation);
        Assert.ThrowsAny<OperationCanceledException>(() => scored.GetColumn<string>("Response").ToArray());
        Assert.Equal(5, watch.Passes);
    }

    private (IDataView Scored, Watch Watch) Scored(Action inTheFifthPass, bool returnOnCancellation, CancellationToken token = default)
    {
        IDataView rows = _ml.Data.LoadFromEnumerable(new[] { new Prompt { InputIds = [2, 105, 300], PromptLength = 3 } });
        var watch = new Watch(inTheFifthPass);
        var generation = new GenerationOptions
        {
            MaxDenoisingSteps = 24, MaxNewTokens = 64, ConfidenceThreshold = -1, StopCriterion = watch,
            ReturnOnCancellation = returnOnCancellation
        };
        return (_ml.Transforms.DiffusionGemma.Answer(TinyChat.Checkpoint,
            new AnswerOptions { Generation = generation, Cancellation = token }).Fit(rows).Transform(rows), watch);
    }

    private sealed class Watch(Action inTheFifthPass) : IStopCriterion
    {
        public int Passes { get; private set; }

        public bool IsFinished(CanvasState canvas)
        {
            if (++Passes == 5) inTheFifthPass();
            return false;
        }
    }

    private sealed class Prompt
    {
        public int[] InputIds { get; set; } = [];

        public int PromptLength { get; set; }
    }
}
