using static TorchSharp.torch;

namespace DiffusionGemma;

/// <summary>
/// Denoising that draws on the device and reads each pass once, as a GPU does, against the form that reads a few rows at a time: the same
/// answers in float64, and one read a step in float32, where the experts' rows can be counted on the device too.
/// </summary>
public class PassReadingsTests : TorchTest
{
    private static readonly GenerationOptions Common = new()
    {
        MaxDenoisingSteps = 5, MaxNewTokens = 40, EosTokenIds = [1, 3, 20, 29, 38], EntropyBound = 3,
    };

    public static TheoryData<string, string> Ways()
    {
        var data = new TheoryData<string, string>();
        foreach (string checkpoint in new[] { "tiny-2layer", "tiny-6layer" })
            foreach (string way in new[] { "entropy bound", "nucleus", "greedy", "refinement", "mixed" }) data.Add(checkpoint, way);
        return data;
    }

    [Theory]
    [MemberData(nameof(Ways))]
    public void Answers_are_the_same_and_a_step_reads_once(string checkpoint, string way)
    {
        GenerationOptions[] ways = way switch
        {
            "entropy bound" => [Common],
            "nucleus" => [Common with { TMin = 0.9, TMax = 1.4, TopK = 20, TopP = 0.7 }],
            "greedy" => [Common with { TMin = 0, TMax = 0 }],
            "refinement" => [Common with { EntropyBound = null, Sampler = CanvasSampler.BlockRefinement, CommitThreshold = 0.05 }],
            _ => [Common with { TMin = 0, TMax = 0 }, Common with { TopK = 3 }, Common with { TopP = 0.6 }, Common],
        };
        using Checkpoint source = Checkpoint.Open(Fixtures.Checkpoint(checkpoint));
        var random = new Random(1);
        GenerationRequest[] requests =
        [
            .. Enumerable.Range(0, 6).Select(n => new GenerationRequest(
                [2, .. Enumerable.Range(0, random.Next(1, 12)).Select(_ => random.Next(4, 120))])
            {
                Options = ways[n % ways.Length] with { Seed = n },
                Pinned = n == 3 ? new Dictionary<int, int> { [2] = 50 } : null,
            }),
        ];

        Assert.Equal(
            Run(source, requests, ScalarType.Float64, readsOnce: false).Answers,
            Run(source, requests, ScalarType.Float64, readsOnce: true).Answers);
        (_, int reads, int passes, _) = Run(source, requests, ScalarType.Float32, readsOnce: true);
        Assert.Equal(passes, reads);
        Assert.True(passes >= 5, $"{passes} passes");
    }

    /// <summary>Rows with a grammar read their own scores; the others of the pass are still read at once.</summary>
    [Fact]
    public void Rows_with_a_grammar_read_their_own_scores()
    {
        GrammarVocabulary vocabulary = GrammarVocabularies.TinyChat(withBytes: true);
        using Checkpoint source = Checkpoint.Open(Fixtures.Checkpoint("tiny-chat"));
        GenerationRequest[] requests = [.. Enumerable.Range(0, 5).Select(n => new GenerationRequest([2, 105, 1294, 107, 418 + n])
        {
            Options = new GenerationOptions
            {
                Seed = n, MaxNewTokens = 40, MaxDenoisingSteps = 4, Grammar = n % 2 == 1 ? AnswerGrammar.Regex(@"\d{1,3}") : null,
                Vocabulary = n % 2 == 1 ? vocabulary : null,
            },
        })];
        Assert.Equal(
            Run(source, requests, ScalarType.Float64, readsOnce: false).Answers,
            Run(source, requests, ScalarType.Float64, readsOnce: true).Answers);
        (_, int reads, int passes, int underGrammar) = Run(source, requests, ScalarType.Float32, readsOnce: true);
        Assert.True(underGrammar > 0);
        Assert.InRange(reads, underGrammar + 1, underGrammar + passes);
    }

    private static (List<int[]> Answers, int Reads, int Passes, int UnderGrammar) Run(
        Checkpoint source, GenerationRequest[] requests, ScalarType dtype, bool readsOnce)
    {
        var counting = new CountingReads(TestDevice.Current);
        using DiffusionGemmaModel model = DiffusionGemmaModel.LoadShare(
            source, TestDevice.Current, dtype, new SingleRank(), reads: counting, countsOnDevice: dtype == ScalarType.Float32);
        using IDisposable quiet = no_grad();
        DenoisingRow[] rows = [.. requests.Select((request, i) => new DenoisingRow(
            i, request, ResolvedGenerationOptions.Resolve(request.Options, model.Folder, model.Config), model))];
        using var loop = new DenoisingLoop(model, readsOnce: readsOnce);
        var client = new Client(rows);
        loop.Run(client);
        return ([.. rows.Select(row => row.Result().Ids)], counting.Count, client.Passes, client.UnderGrammar);
    }

    /// <summary>Rows that join at once; counts passes.</summary>
    private sealed class Client(DenoisingRow[] rows) : IDenoisingClient
    {
        private DenoisingRow[]? _next = rows;
        private int _steps;

        /// <summary>Decoder passes over at least one row.</summary>
        public int Passes { get; private set; }

        /// <summary>Steps of rows with a grammar.</summary>
        public int UnderGrammar { get; private set; }

        public Admission? Admit(int running)
        {
            if (_steps > 0) Passes++;
            _steps = 0;
            Admission? next = _next is not null ? new Admission(_next) : running == 0 ? null : new Admission([]);
            _next = null;
            return next;
        }

        public bool IsCancelled(DenoisingRow row) => false;

        public void OnStep(DenoisingRow row, DenoisingStep step)
        {
            _steps++;
            if (row.Grammar is not null) UnderGrammar++;
        }

        public void OnCanvas(DenoisingRow row, CanvasUpdate canvas)
        {
        }

        public void OnCompleted(DenoisingRow row) => Assert.True(row.IsComplete);

        public void OnCancelled(DenoisingRow row) => Assert.Fail("nothing is cancelled");

        public void OnFailed(DenoisingRow row, Exception error) => throw error;
    }
}
