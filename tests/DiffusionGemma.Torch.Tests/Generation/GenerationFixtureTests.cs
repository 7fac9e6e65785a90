using System.Text.Json;
using static TorchSharp.torch;

namespace DiffusionGemma;

/// <summary>23 recorded runs of transformers' generate, their draws replayed: every decision equal, in float32 and in float64.</summary>
public class GenerationFixtureTests : TorchTest
{
    public static TheoryData<string, string, ScalarType> Runs()
    {
        var data = new TheoryData<string, string, ScalarType>();
        foreach (string checkpoint in new[] { "tiny-2layer", "tiny-6layer", "tiny-chat" })
            foreach (string run in Cases(checkpoint).EnumerateObject().Select(p => p.Name))
                foreach (ScalarType dtype in new[] { ScalarType.Float32, ScalarType.Float64 })
                    data.Add(checkpoint, run, dtype);
        return data;
    }

    [Theory]
    [MemberData(nameof(Runs))]
    public void Every_decision_equals_the_recorded(string checkpoint, string name, ScalarType dtype)
    {
        JsonElement run = Cases(checkpoint).GetProperty(name);
        using var model = DiffusionGemmaModel.Load(Fixtures.Checkpoint(checkpoint), TestDevice.Current, dtype);
        int[][] sequences = Rows(run.GetProperty("sequences")), masks = Rows(run.GetProperty("prompt_mask"));
        int[][] padded = Rows(run.GetProperty("prompt_ids"));
        int[][] prompts = [.. padded.Zip(masks, (ids, mask) => ids.Where((_, i) => mask[i] == 1).ToArray())];
        var noise = new RecordedNoise(run);
        var seen = new List<DenoisingStep>();
        var steps = new ImmediateProgress<DenoisingStep>(seen.Add);
        IReadOnlyList<GenerationResult> results = CanvasGenerator.Generate(
            model, prompts, Options(run.GetProperty("options"), model.Config.CanvasLength), noise, steps);

        JsonElement[] canvases = [.. run.GetProperty("canvases").EnumerateArray()];
        var recorded = canvases.SelectMany(
            (c, canvas) => c.GetProperty("steps").EnumerateArray().Select((s, step) => (canvas, step, s))).ToList();
        Assert.True(noise.IsUsedUp);
        foreach ((int canvas, int step, JsonElement expected) in recorded)
        {
            int[][] accepted = Rows(expected.GetProperty("accepted")), best = Rows(expected.GetProperty("best"));
            for (int row = 0; row < prompts.Length; row++)
            {
                // A row that is done with its canvas is silent; what is recorded of it then is what it was.
                if (Enumerable.Range(0, step).Any(s => canvases[canvas].GetProperty("steps")[s].GetProperty("stops")[row].GetInt32() == 1))
                    continue;
                DenoisingStep got = Assert.Single(seen, s => (s.Row, s.Canvas, s.Step) == (row, canvas, step));
                Assert.Equal(accepted[row], got.Settled.Select(a => a ? 1 : 0));
                Assert.Equal(best[row], got.Draft);
                Assert.Equal(expected.GetProperty("stops")[row].GetInt32() == 1, got.Finished);
                // Recorded with 6 decimals, in float32. One step magnifies float32's rounding to 2e-4; all others differ by 4e-5 at most.
                double rounding = dtype == ScalarType.Float32 ? 5e-4 : 2e-4;
                Assert.Equal(expected.GetProperty("mean_entropy")[row].GetDouble(), got.MeanEntropy, rounding);
                seen.Remove(got);
            }
        }
        Assert.Empty(seen);
        for (int row = 0; row < prompts.Length; row++)
        {
            int[] answer = sequences[row][padded[row].Length..], ids = results[row].Ids;
            Assert.Equal(answer[..ids.Length], ids);
            Assert.All(answer[ids.Length..], id => Assert.Equal(0, id));                            // after its end: pad only
            Assert.Equal(run.GetProperty("tokens_per_forward")[row].GetDouble(), results[row].TokensPerForward, 1e-6);
            Assert.Equal(ids.Length < answer.Length ? FinishReason.End : results[row].Finish, results[row].Finish);
        }
    }

    private static JsonElement Cases(string checkpoint)
    {
        using JsonDocument document = JsonDocument.Parse(File.ReadAllText(Fixtures.Path("generation", $"{checkpoint}.json")));
        return document.RootElement.Clone();
    }

    private static GenerationOptions Options(JsonElement options, int canvas)
    {
        int? Integer(string key) => options.TryGetProperty(key, out JsonElement v) ? v.GetInt32() : null;
        double? Number(string key) => options.TryGetProperty(key, out JsonElement v) ? v.GetDouble() : null;
        return new GenerationOptions
        {
            // the reference rounds up to whole canvases
            MaxNewTokens = (Integer("max_new_tokens") + canvas - 1) / canvas * canvas,
            MaxDenoisingSteps = Integer("max_denoising_steps"), TMin = Number("t_min"), TMax = Number("t_max"),
            StabilityThreshold = Integer("stability_threshold"), ConfidenceThreshold = Number("confidence_threshold"),
            PadTokenId = Integer("pad_token_id"),
            EosTokenIds = options.TryGetProperty("eos_token_id", out JsonElement ends)
                ? [.. ends.EnumerateArray().Select(e => e.GetInt32())]
                : null,
            EntropyBound = options.TryGetProperty("sampler_config", out JsonElement sampler)
                ? sampler.GetProperty("entropy_bound").GetDouble()
                : null,
        };
    }

    private static int[][] Rows(JsonElement rows) =>
        [.. rows.EnumerateArray().Select(row => row.EnumerateArray().Select(v => v.GetInt32()).ToArray())];

    /// <summary>Start, then a sample and a replacement canvas a step, canvas after canvas.</summary>
    private sealed class RecordedNoise : INoiseSource
    {
        private readonly Queue<int[][]> _canvases = new(), _samples = new();

        public RecordedNoise(JsonElement run)
        {
            foreach (JsonElement canvas in run.GetProperty("canvases").EnumerateArray())
            {
                _canvases.Enqueue(Rows(canvas.GetProperty("start")));
                foreach (JsonElement step in canvas.GetProperty("steps").EnumerateArray())
                {
                    _samples.Enqueue(Rows(step.GetProperty("sampled")));
                    _canvases.Enqueue(Rows(step.GetProperty("random")));
                }
            }
        }

        public bool IsUsedUp => _canvases.Count == 0 && _samples.Count == 0;

        public Tensor Canvas(int rows, int canvasLength, int vocabularySize) => Next(_canvases);

        public Tensor Sample(Tensor probabilities) => Next(_samples);

        private static Tensor Next(Queue<int[][]> queue)
        {
            int[][] rows = queue.Dequeue();
            return tensor(rows.SelectMany(r => r.Select(id => (long)id)).ToArray()).view(rows.Length, -1);
        }
    }
}
