using System.Collections;
using static TorchSharp.torch;

namespace DiffusionGemma;

/// <summary>
/// Every call that takes a token, with one that is cancelled already, and with one that is cancelled at each place in the course of the
/// call where a caller can do so. Afterwards the model answers as before.
/// </summary>
public sealed class CancelledCallsTests : TorchTest
{
    private static readonly int[] Prompt = [2, 30, 31];
    private static readonly GenerationOptions Short =
        new() { EosTokenIds = [], MaxDenoisingSteps = 4, MaxNewTokens = 16, ConfidenceThreshold = -1 };

    private static readonly GenerationOptions Labels = Short with
    {
        Grammar = AnswerGrammar.OneOf("one", "two"),
        Vocabulary = GrammarVocabularies.TinyChat(withBytes: true),
    };

    private static readonly IReadOnlyList<TrainingExample> Rows =
        [.. TinyRows.Make(4).Select(row => CanvasPacking.Pack(row.InputIds, row.LossMask, 32, maxLength: 64, eosId: 1)!)];

    private static readonly FineTuneOptions Options =
        TinyRows.Options with { Lora = new LoraOptions { Rank = 2 }, MaxSteps = 3, Devices = [CPU] };

    private readonly DiffusionGemmaModel _model = DiffusionGemmaModel.Load(Fixtures.Checkpoint("tiny-chat"), TestDevice.Current);

    public override void Dispose()
    {
        _model.Dispose();
        base.Dispose();
    }

    /// <summary>The calls: each cancels through the action, before its n-th event, and takes the token.</summary>
    public static TheoryData<string> Calls => [.. All.Keys];

    private static Dictionary<string, Action<DiffusionGemmaModel, Action, CancellationToken>> All { get; } = new()
    {
        ["Generate prompts"] = (model, at, token) =>
            CanvasGenerator.Generate(model, [Prompt, Prompt], Short, drafts: new ImmediateProgress<DenoisingStep>(_ => at()),
                cancellation: token),
        ["Generate requests"] = (model, at, token) =>
            CanvasGenerator.Generate(model, [new GenerationRequest(Prompt)], Short,
                drafts: new ImmediateProgress<DenoisingStep>(_ => at()), cancellation: token),
        ["Generate with callbacks"] = (model, at, token) =>
            CanvasGenerator.Generate(model, [new GenerationRequest(Prompt)], Short, 8, new GenerationCallbacks { BeforePass = at }, token),
        ["LabelScorer.Score"] = (model, at, token) =>
            LabelScorer.Score(model, [Prompt], Labels, canvases: 4, batchSize: 1, new GenerationCallbacks { BeforePass = at }, token),
        ["FineTuner.Evaluate"] = (model, at, token) =>
            FineTuner.Evaluate(model, new WatchedRows(Rows, at), cancellation: token),
        ["FineTuner.Fit a model"] = (model, at, token) =>
        {
            try
            {
                FineTuner.Fit(model, Rows, Options, new ImmediateProgress<StepRecord>(_ => at()), token).Dispose();
            }
            finally
            {
                model.Adapter = null;
            }
        },
        ["FineTuner.Fit a folder"] = (_, at, token) =>
            FineTuner.Fit(
                Fixtures.Checkpoint("tiny-chat"), Rows, Options, new ImmediateProgress<StepRecord>(_ => at()), token).Dispose(),
        ["QuantizedCheckpoint.Create"] = (_, at, token) =>
        {
            using TemporaryFolder folder = Fixtures.Temporary();
            try
            {
                QuantizedCheckpoint.Create(
                    Fixtures.Checkpoint("tiny-chat"), folder.Path, Quantization.Int8, new ImmediateProgress<string>(_ => at()), token);
            }
            catch (OperationCanceledException)
            {
                Assert.Empty(Directory.EnumerateFileSystemEntries(folder.Path));
                throw;
            }
        },
        ["GenerationQueue.GenerateAsync"] = (model, at, token) =>
        {
            using var queue = new GenerationQueue(model, Short with { StopCriterion = new Watch(at) });
            queue.GenerateAsync(new GenerationRequest(Prompt), token).GetAwaiter().GetResult();
        },
    };

    [Theory]
    [MemberData(nameof(Calls))]
    public void Cancelled_before_or_in_the_middle(string name)
    {
        int[] before = CanvasGenerator.Generate(_model, [Prompt], Short)[0].Ids;
        int events = 0;
        using (var never = new CancellationTokenSource()) All[name](_model, () => events++, never.Token);
        Assert.True(events >= 1, "There was no event.");

        Assert.ThrowsAny<OperationCanceledException>(
            () => All[name](_model, () => Assert.Fail("It went on."), new CancellationToken(canceled: true)));
        int most = Math.Clamp(events - 1, 1, 3);                                         // after the last one there may be nothing to end
        for (int at = 1; at <= most; at++)
        {
            int count = 0;
            using var cancel = new CancellationTokenSource();
            var error = Assert.ThrowsAny<OperationCanceledException>(() => All[name](_model, () =>
            {
                if (++count == at) cancel.Cancel();
            }, cancel.Token));
            Assert.Equal(cancel.Token, error.CancellationToken);
            Assert.True(count < events || events == 1, $"{count} of {events} events, cancelled at {at}");
        }
        Assert.Equal(before, CanvasGenerator.Generate(_model, [Prompt], Short)[0].Ids);
    }

    /// <summary>Denoising runs ahead of who reads the stream, so that the answer is one without an end.</summary>
    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task Streams(bool ofQueue)
    {
        var request = new GenerationRequest(Prompt) { Options = Short with { MaxDenoisingSteps = 1_000_000 } };
        await using GenerationQueue? queue = ofQueue ? new GenerationQueue(_model) : null;
        for (int at = 0; at <= 6; at++)
        {
            int count = 0;
            using var cancel = new CancellationTokenSource();
            if (at == 0) await cancel.CancelAsync();
            var error = await Assert.ThrowsAnyAsync<OperationCanceledException>(async () =>
            {
                await foreach (GenerationUpdate _ in queue is null
                    ? CanvasGenerator.StreamAsync(_model, request, cancellation: cancel.Token) : queue.StreamAsync(request, cancel.Token))
                    if (++count == at) await cancel.CancelAsync();
            });
            Assert.Equal(cancel.Token, error.CancellationToken);
            Assert.True(count >= at);
        }
    }

    /// <summary>Tells when a row is read.</summary>
    private sealed class WatchedRows(IReadOnlyList<TrainingExample> rows, Action read) : IReadOnlyList<TrainingExample>
    {
        public int Count => rows.Count;

        public TrainingExample this[int index]
        {
            get
            {
                read();
                return rows[index];
            }
        }

        public IEnumerator<TrainingExample> GetEnumerator() => rows.GetEnumerator();

        IEnumerator IEnumerable.GetEnumerator() => GetEnumerator();
    }

    /// <summary>Tells when a pass was done.</summary>
    private sealed class Watch(Action passed) : IStopCriterion
    {
        public bool IsFinished(CanvasState canvas)
        {
            passed();
            return false;
        }
    }
}
