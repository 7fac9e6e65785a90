using static TorchSharp.torch;

namespace DiffusionGemma;

/// <summary>
/// The engine against <see cref="PlainDenoising"/>, in float64: equal tokens, whatever is in the batch, joins late or is shared.
/// </summary>
public class DenoisingOracleTests : TorchTest
{
    // tiny-6layer: canvas 16, window 8, so that sliding layers forget; tiny-2layer: canvas 8, full attention within the window.
    public static TheoryData<string, string, GenerationOptions> Ways()
    {
        var data = new TheoryData<string, string, GenerationOptions>();
        var common = new GenerationOptions
        {
            MaxDenoisingSteps = 5, MaxNewTokens = 40, EosTokenIds = [1, 3, 20, 29, 38], EntropyBound = 3, Seed = 5,
        };
        GenerationOptions refining = common with { EntropyBound = null, Sampler = CanvasSampler.BlockRefinement };
        foreach (string checkpoint in new[] { "tiny-2layer", "tiny-6layer" })
        {
            data.Add(checkpoint, "entropy bound", common);
            data.Add(checkpoint, "no end tokens, cut", common with { EosTokenIds = [], MaxNewTokens = 37 });
            data.Add(checkpoint, "warm, top-k", common with { TMin = 0.9, TMax = 1.4, TopK = 3 });
            data.Add(checkpoint, "warm, top-p", common with { TMin = 0.9, TMax = 1.4, TopP = 0.6 });
            data.Add(checkpoint, "warm, top-k and top-p", common with { TMin = 0.9, TMax = 1.4, TopK = 20, TopP = 0.7 });
            data.Add(checkpoint, "most likely tokens", common with { TMin = 0, TMax = 0 });
            data.Add(checkpoint, "stops early", common with { StabilityThreshold = 0, ConfidenceThreshold = 4.2 });
            data.Add(checkpoint, "refinement", refining with { CommitThreshold = 0.05 });
            data.Add(checkpoint, "refinement by quota", refining with { CommitThreshold = 2, MinimumCommits = 0 });
            data.Add(checkpoint, "refinement, edits", refining with { CommitThreshold = 0.03, EditThreshold = 0.02, MinimumCommits = 3 });
            data.Add(checkpoint, "refinement, most likely tokens", refining with { TMin = 0, TMax = 0, CommitThreshold = 0.1 });
        }
        return data;
    }

    [Theory]
    [MemberData(nameof(Ways))]
    public void A_batch_answers_as_the_plain_loop_does(string checkpoint, string way, GenerationOptions options)
    {
        using var model = DiffusionGemmaModel.Load(Fixtures.Checkpoint(checkpoint), TestDevice.Current, ScalarType.Float64);
        GenerationRequest[] requests = [.. Requests(6, length: 12).Select((r, i) => r with { Options = new() { Seed = i } })];
        Assert.NotEmpty(way);
        Compare(model, requests, options, batchSize: 6);
        Compare(model, requests, options, batchSize: 2);                                     // the others join late
    }

    /// <summary>Prompts beyond the window, in pieces, of very different lengths.</summary>
    [Fact]
    public void Long_prompts_are_read_in_pieces()
    {
        using var model = DiffusionGemmaModel.Load(Fixtures.Checkpoint("tiny-6layer"), TestDevice.Current, ScalarType.Float64);
        int room = model.Config.MaxPositionEmbeddings - 32;
        var random = new Random(3);
        int[][] prompts =
        [
            .. new[] { room, 3, 200, 190, room - 7, 1 }.Select(
                n => Enumerable.Range(0, n).Select(_ => random.Next(4, model.Config.VocabularySize)).ToArray()),
        ];
        Compare(
            model, [.. prompts.Select(p => new GenerationRequest(p))], new() { MaxDenoisingSteps = 3, MaxNewTokens = 20, EosTokenIds = [] },
            batchSize: 4);
    }

    /// <summary>A common beginning is encoded once; those who do not have it are not disturbed.</summary>
    [Fact]
    public void A_shared_beginning_changes_nothing()
    {
        using var model = DiffusionGemmaModel.Load(Fixtures.Checkpoint("tiny-6layer"), TestDevice.Current, ScalarType.Float64);
        var random = new Random(4);
        int[] Draw(int n) => [.. Enumerable.Range(0, n).Select(_ => random.Next(4, model.Config.VocabularySize))];
        int[] system = Draw(SharedPrefix.LeastLength + 9);
        var options = new GenerationOptions { MaxDenoisingSteps = 3, MaxNewTokens = 20, EosTokenIds = [] };
        GenerationRequest[] requests = [.. Enumerable.Range(1, 5).Select(n => new GenerationRequest([.. system, .. Draw(n)]))];
        Assert.Equal(system[..SharedPrefix.LeastLength], SharedPrefix.Find(requests));
        Compare(model, requests, options, batchSize: 2);

        GenerationRequest[] mixed = [requests[0], new(Draw(30)), requests[1], new(system)];
        ResolvedGenerationOptions resolved = ResolvedGenerationOptions.Resolve(options, model.Folder, model.Config);
        DenoisingRow[] rows = [.. mixed.Select((r, i) => new DenoisingRow(i, r, resolved, model))];
        using var loop = new DenoisingLoop(model);
        loop.Run(new Together(new Admission(rows, new Dictionary<LoraAdapter, int[]> { [LoraAdapter.None] = system })));
        for (int i = 0; i < mixed.Length; i++) Assert.Equal(PlainDenoising.Answer(model, mixed[i], options), rows[i].Result().Ids);
    }

    [Theory]
    [InlineData(CanvasSampler.EntropyBound)]
    [InlineData(CanvasSampler.BlockRefinement)]
    public void Pinned_tokens_stand_and_a_draft_is_where_it_starts(CanvasSampler sampler)
    {
        using var model = DiffusionGemmaModel.Load(Fixtures.Checkpoint("tiny-2layer"), TestDevice.Current, ScalarType.Float64);
        var options = new GenerationOptions
        {
            MaxDenoisingSteps = 6, MaxNewTokens = 30, Sampler = sampler, EosTokenIds = [.. Enumerable.Range(20, 60)],
        };
        // The second canvas is pinned whole: no pass is spent on it. Nearly every token would end the answer; it must not before the last
        // pin.
        var pinned = Enumerable.Range(8, 8).Append(2).Append(21).ToDictionary(p => p, p => 90 + p);
        GenerationRequest[] requests =
        [
            new([2, 30]) { Pinned = pinned }, new([2, 31]) { Draft = [40, 41, 42, 43, 44, 45, 46, 47, 48, 49] },
            new([2, 32]) { Pinned = pinned, Draft = [.. Enumerable.Repeat(99, 20)] }, new([2, 33]),
        ];
        IReadOnlyList<GenerationResult> results = Compare(model, requests, options, batchSize: 4);
        foreach (int row in new[] { 0, 2 })
        {
            Assert.All(pinned, pin => Assert.Equal(pin.Value, results[row].Ids[pin.Key]));
            Assert.Equal(0, results[row].StepsPerCanvas[1]);
        }
    }

    [Fact]
    public void A_draft_is_where_denoising_starts()
    {
        using var model = DiffusionGemmaModel.Load(Fixtures.Checkpoint("tiny-2layer"), TestDevice.Current, ScalarType.Float64);
        int[] Answer(int[]? draft) => CanvasGenerator.Generate(
            model, [new GenerationRequest([2, 30]) { Draft = draft }],
            new() { MaxDenoisingSteps = 1, MaxNewTokens = 8, EosTokenIds = [] })[0].Ids;
        Assert.NotEqual(Answer(null), Answer([5, 6, 7]));
        Assert.NotEqual(Answer([5, 6, 8]), Answer([5, 6, 7]));
        Assert.Equal(Answer([5, 6, 7]), Answer([5, 6, 7]));
    }

    [Fact]
    public void A_stop_criterion_of_ones_own_ends_a_canvas()
    {
        using var model = DiffusionGemmaModel.Load(Fixtures.Checkpoint("tiny-2layer"), TestDevice.Current, ScalarType.Float64);
        var options = new GenerationOptions
        {
            MaxNewTokens = 24, MaxDenoisingSteps = 30, EosTokenIds = [], ConfidenceThreshold = -1, StopCriterion = new AfterSteps(),
        };
        GenerationResult result = CanvasGenerator.Generate(model, [[2, 30]], options)[0];
        Assert.Equal([2, 3, 4], result.StepsPerCanvas);
    }

    [Theory]
    [InlineData("pins a token at a position outside", null, 99)]
    [InlineData("has a draft of 25 tokens", 25, null)]
    public void What_does_not_fit_is_named(string message, int? draft, int? pin)
    {
        using var model = DiffusionGemmaModel.Load(Fixtures.Checkpoint("tiny-2layer"), TestDevice.Current, ScalarType.Float32);
        var request = new GenerationRequest([2, 30])
        {
            Draft = draft is int n ? [.. Enumerable.Repeat(5, n)] : null,
            Pinned = pin is int p ? new Dictionary<int, int> { [p] = 5 } : null,
        };
        Assert.Contains(
            message,
            Assert.Throws<GenerationRequestException>(
                () => CanvasGenerator.Generate(model, [request], new() { MaxNewTokens = 20 })).Message,
            StringComparison.Ordinal);
    }

    private static IReadOnlyList<GenerationResult> Compare(
        DiffusionGemmaModel model, GenerationRequest[] requests, GenerationOptions options, int batchSize)
    {
        IReadOnlyList<GenerationResult> results = CanvasGenerator.Generate(model, requests, options, batchSize);
        for (int i = 0; i < requests.Length; i++)
            Assert.Equal(PlainDenoising.Answer(model, requests[i], requests[i].Options?.Over(options) ?? options), results[i].Ids);
        return results;
    }

    private static IEnumerable<GenerationRequest> Requests(int count, int length)
    {
        var random = new Random(1);
        for (int n = 0; n < count; n++)
            yield return new GenerationRequest([2, .. Enumerable.Range(0, random.Next(1, length)).Select(_ => random.Next(4, 120))]);
    }

    /// <summary>Rows that join at once.</summary>
    private sealed class Together(Admission admission) : IDenoisingClient
    {
        private Admission? _next = admission;

        public Admission? Admit(int running)
        {
            Admission? next = _next ?? (running == 0 ? null : new Admission([]));
            _next = null;
            return next;
        }

        public bool IsCancelled(DenoisingRow row) => false;

        public void OnStep(DenoisingRow row, DenoisingStep step)
        {
        }

        public void OnCanvas(DenoisingRow row, CanvasUpdate canvas)
        {
        }

        public void OnCompleted(DenoisingRow row) => Assert.True(row.IsComplete);

        public void OnCancelled(DenoisingRow row) => Assert.Fail("nothing is cancelled");

        public void OnFailed(DenoisingRow row, Exception error) => throw error;
    }

    /// <summary>Two steps for the first canvas, and one more for each after it.</summary>
    private sealed class AfterSteps : IStopCriterion
    {
        public bool IsFinished(CanvasState canvas) => canvas.Step == canvas.Canvas + 1;
    }
}
