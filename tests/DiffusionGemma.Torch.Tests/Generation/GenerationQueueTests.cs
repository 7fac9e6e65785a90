using static TorchSharp.torch;

namespace DiffusionGemma;

public class GenerationQueueTests : TorchTest
{
    private static readonly int[][] Prompts =
    [
        [2, 30, 31], [2, 40], [2, 50, 51, 52, 53, 54, 55], [2, 60, 61, 62], [2, 70], [2, 80, 81, 82, 83], [2, 90, 91],
        [2, 100, 101, 102, 103, 104],
    ];

    private static readonly GenerationOptions Options =
        new() { MaxNewTokens = 24, MaxDenoisingSteps = 6, Seed = 11, EosTokenIds = [1, 3, 20, 21, 22], EntropyBound = 2 };

    private readonly DiffusionGemmaModel _model =
        DiffusionGemmaModel.Load(Fixtures.Checkpoint("tiny-2layer"), TestDevice.Current, ScalarType.Float64);

    /// <summary>Float64: what neighbours change in the last bits must not meet a tie.</summary>
    [Fact]
    public async Task Callers_at_once_and_late_ones_get_the_answers_they_would_get_alone()
    {
        string[] alone = [.. Prompts.Select(p => string.Join(' ', CanvasGenerator.Generate(_model, [p], Options)[0].Ids))];
        await using var queue = new GenerationQueue(_model, Options, batchSize: 3);
        Task<GenerationResult>[] answers = [.. Prompts.Select((p, i) => Task.Run(async () =>
        {
            await Task.Delay(7 * i);
            return await queue.GenerateAsync(new GenerationRequest(p));
        }))];
        GenerationResult[] results = await Task.WhenAll(answers);
        Assert.Equal(alone, results.Select(r => string.Join(' ', r.Ids)));
    }

    [Fact]
    public async Task What_requests_begin_with_alike_changes_no_answer()
    {
        int[] system = [.. Enumerable.Range(0, SharedPrefix.LeastLength + 5).Select(i => 4 + (i * 7 % 100))];
        int[][] prompts = [.. Prompts.Select((p, i) => i == 4 ? p : [.. system, .. p])];
        await using var queue = new GenerationQueue(_model, Options);
        foreach (int[] prompt in prompts)
        {
            var request = new GenerationRequest(prompt) { SharedPrefixLength = prompt.Length > system.Length ? system.Length : 0 };
            Assert.Equal(CanvasGenerator.Generate(_model, [prompt], Options)[0].Ids, (await queue.GenerateAsync(request)).Ids);
        }
    }

    [Fact]
    public async Task A_stream_tells_of_steps_and_canvases_and_ends_with_the_result()
    {
        await using var queue = new GenerationQueue(_model, Options with { EosTokenIds = [] });
        var updates = new List<GenerationUpdate>();
        var request = new GenerationRequest(Prompts[0]) { Options = new() { MaxNewTokens = 20, ConfidenceThreshold = -1 } };
        await foreach (GenerationUpdate update in queue.StreamAsync(request)) updates.Add(update);
        GenerationResult result = Assert.IsType<CompletedUpdate>(updates[^1]).Result;
        CanvasUpdate[] canvases = [.. updates.OfType<CanvasUpdate>()];
        Assert.Equal([0, 1, 2], canvases.Select(c => c.Canvas));
        Assert.Equal([8, 8, 4], canvases.Select(c => c.Ids.Length));
        Assert.Equal(result.Ids, canvases.SelectMany(c => c.Ids));
        Assert.Equal(result.StepsPerCanvas, canvases.Select(c => c.Steps));
        Assert.Equal(18, updates.OfType<DraftUpdate>().Count());
        Assert.Equal(canvases[0].Ids, updates.OfType<DraftUpdate>().Last(d => d.Canvas == 0).Draft);
        Assert.Equal(FinishReason.Length, result.Finish);
    }

    [Fact]
    public async Task Cancelling_one_answer_leaves_the_others_alone()
    {
        int[] alone = CanvasGenerator.Generate(_model, [Prompts[2]], Options)[0].Ids;
        await using var queue = new GenerationQueue(_model, Options, batchSize: 2);
        using var cancellation = new CancellationTokenSource();
        Task<GenerationResult> other = queue.GenerateAsync(new GenerationRequest(Prompts[2]));
        int drafts = 0;
        var error = await Assert.ThrowsAnyAsync<OperationCanceledException>(async () =>
        {
            var request = new GenerationRequest(Prompts[0]) { Options = new() { MaxDenoisingSteps = 10_000, ConfidenceThreshold = -1 } };
            await foreach (GenerationUpdate _ in queue.StreamAsync(request, cancellation.Token))
                if (++drafts == 3) await cancellation.CancelAsync();
        });
        Assert.Equal(cancellation.Token, error.CancellationToken);
        Assert.Equal(alone, (await other).Ids);
    }

    [Fact]
    public async Task A_request_that_waits_for_room_need_not_wait_to_be_cancelled()
    {
        await using var queue = new GenerationQueue(_model, batchSize: 1);
        using var first = new CancellationTokenSource();
        using var second = new CancellationTokenSource();
        var endless = new GenerationOptions { MaxDenoisingSteps = 1_000_000, ConfidenceThreshold = -1 };
        Task<GenerationResult> running = queue.GenerateAsync(
            new GenerationRequest(Prompts[0]) { Options = endless with { ReturnOnCancellation = true } }, first.Token);
        Task<GenerationResult> waiting = queue.GenerateAsync(new GenerationRequest(Prompts[1]) { Options = endless }, second.Token);
        await second.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => waiting);
        Assert.False(running.IsCompleted);
        await first.CancelAsync();
        GenerationResult cut = await running;
        Assert.Equal((FinishReason.Cancelled, 0), (cut.Finish, cut.Ids.Length));
    }

    [Fact]
    public async Task Who_stops_reading_frees_the_place()
    {
        await using var queue = new GenerationQueue(_model, batchSize: 1);
        var endless = new GenerationRequest(Prompts[0]) { Options = new() { MaxDenoisingSteps = 1_000_000, ConfidenceThreshold = -1 } };
        await foreach (GenerationUpdate _ in queue.StreamAsync(endless)) break;
        Assert.NotEmpty((await queue.GenerateAsync(new GenerationRequest(Prompts[1]))).Ids);
    }

    [Fact]
    public async Task What_cannot_be_answered_is_refused_where_it_is_asked()
    {
        await using var queue = new GenerationQueue(_model);
        await Assert.ThrowsAsync<GenerationRequestException>(() => queue.GenerateAsync(new GenerationRequest([])));
        await Assert.ThrowsAsync<ArgumentOutOfRangeException>(
            () => queue.GenerateAsync(new GenerationRequest([2]) { Options = new() { TopP = 2 } }));
        Assert.NotEmpty((await queue.GenerateAsync(new GenerationRequest([2, 30]))).Ids);
    }

    [Fact]
    public async Task A_row_that_fails_fails_alone()
    {
        await using var queue = new GenerationQueue(_model, Options);
        Task<GenerationResult> good = queue.GenerateAsync(new GenerationRequest(Prompts[1]));
        var bad = new GenerationRequest(Prompts[0]) { Options = new() { StopCriterion = new Broken() } };
        Assert.Equal("broken", (await Assert.ThrowsAsync<NotSupportedException>(() => queue.GenerateAsync(bad))).Message);
        Assert.NotEmpty((await good).Ids);
    }

    [Fact]
    public async Task Disposing_ends_what_is_running()
    {
        var queue = new GenerationQueue(_model);
        Task<GenerationResult> running = queue.GenerateAsync(
            new GenerationRequest(Prompts[0]) { Options = new() { MaxDenoisingSteps = 1_000_000, ConfidenceThreshold = -1 } });
        queue.Dispose();
        await Assert.ThrowsAsync<ObjectDisposedException>(() => running);
        await Assert.ThrowsAsync<ObjectDisposedException>(() => queue.GenerateAsync(new GenerationRequest(Prompts[0])));
        queue.Dispose();
    }

    public override void Dispose()
    {
        _model.Dispose();
        base.Dispose();
    }

    private sealed class Broken : IStopCriterion
    {
        public bool IsFinished(CanvasState canvas) => throw new NotSupportedException("broken");
    }
}
