using System.Text.Json;
using static TorchSharp.torch;

namespace DiffusionGemma;

/// <summary>Six recorded runs of the reference under regular expressions, their draws replayed: every decision equal.</summary>
public class GrammarFixtureTests : TorchTest
{
    [Theory]
    [InlineData("number")]
    [InlineData("sentence")]
    [InlineData("json")]
    [InlineData("work")]
    [InlineData("label")]
    [InlineData("long")]
    public void Every_decision_equals_the_recorded(string name)
    {
        using JsonDocument runs = JsonDocument.Parse(File.ReadAllText(Fixtures.Path("constrained", "tiny-chat.json")));
        JsonElement run = runs.RootElement.GetProperty(name), given = run.GetProperty("options");
        using var model = DiffusionGemmaModel.Load(Fixtures.Checkpoint("tiny-chat"), TestDevice.Current, ScalarType.Float64);
        var options = new GenerationOptions
        {
            MaxNewTokens = run.GetProperty("canvases").GetInt32() * model.Config.CanvasLength,
            MaxDenoisingSteps = given.GetProperty("max_denoising_steps").GetInt32(),
            TMin = given.GetProperty("t_min").GetDouble(), TMax = given.GetProperty("t_max").GetDouble(),
            EntropyBound = given.GetProperty("entropy_bound").GetDouble(), ConfidenceThreshold = given.GetProperty(
                "confidence_threshold").GetDouble(),
            Grammar = AnswerGrammar.Regex(run.GetProperty("pattern").GetString()!), Vocabulary = GrammarVocabularies.TinyChat(
                withBytes: false),
            EosTokenIds = [GrammarVocabularies.EndOfSequence, GrammarVocabularies.TurnEnd],
        };
        var noise = new RecordedNoise(run.GetProperty("draws"));
        var seen = new List<DenoisingStep>();
        IReadOnlyList<GenerationResult> results = CanvasGenerator.Generate(
            model, [run.GetProperty("prompt_ids").Deserialize<int[]>()!], options, noise, new ForwardedProgress(seen));

        JsonElement[] steps = [.. run.GetProperty("steps").EnumerateArray()];
        Assert.Equal(steps.Length, seen.Count);
        foreach ((JsonElement expected, DenoisingStep got) in steps.Zip(seen))
        {
            Assert.Equal(expected.GetProperty("canvas").GetInt32(), got.Canvas);
            Assert.Equal(expected.GetProperty("accepted").Deserialize<int[]>(), got.Settled.Select(s => s ? 1 : 0));
            Assert.Equal(expected.GetProperty("best").Deserialize<int[]>(), got.Draft);
            Assert.Equal(expected.GetProperty("mean_entropy").GetDouble(), got.MeanEntropy, 1e-6);
            Assert.Equal(expected.GetProperty("finished").GetBoolean(), got.Finished);
        }
        int[] ids = run.GetProperty("ids").Deserialize<int[]>()!;
        Assert.Equal(ids, results[0].Ids[..ids.Length]);
        Assert.True(results[0].Ids.Length == ids.Length || results[0].Ids[
            ids.Length] is GrammarVocabularies.TurnEnd or GrammarVocabularies.EndOfSequence);
    }

    private sealed class ForwardedProgress(List<DenoisingStep> seen) : IProgress<DenoisingStep>
    {
        public void Report(DenoisingStep value) => seen.Add(value);
    }

    /// <summary>A start a canvas; then uniform numbers and a replacement canvas a step.</summary>
    private sealed class RecordedNoise(JsonElement draws) : INoiseSource
    {
        private readonly Queue<long[]> _starts = new(draws.GetProperty("start").Deserialize<long[][]>()!);
        private readonly Queue<long[]> _random = new(draws.GetProperty("random").Deserialize<long[][]>()!);
        private readonly Queue<double[]> _uniforms = new(draws.GetProperty("uniforms").Deserialize<double[][]>()!);
        private bool _isStep;

        public Tensor Canvas(int rows, int canvasLength, int vocabularySize)
        {
            Tensor canvas = tensor((_isStep ? _random : _starts).Dequeue()).unsqueeze(0);
            _isStep = false;
            return canvas;
        }

        public Tensor Sample(Tensor probabilities) => throw new InvalidOperationException(
            "Under a grammar nothing is sampled position by position.");

        public Tensor Uniforms(int rows, int canvasLength)
        {
            _isStep = true;
            return tensor(_uniforms.Dequeue()).unsqueeze(0);
        }
    }
}
