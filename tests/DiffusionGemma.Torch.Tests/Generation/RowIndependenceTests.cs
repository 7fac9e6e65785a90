using System.Globalization;
using static TorchSharp.torch;

namespace DiffusionGemma;

/// <summary>
/// In float32 on a CPU too, what is computed for a row has the same bits whatever rows are beside it: those of other lengths, those that
/// join late, those of other adapters, and those that share its beginning.
/// </summary>
public class RowIndependenceTests : TorchTest
{
    private static readonly GenerationOptions Options = new()
    {
        MaxNewTokens = 40, MaxDenoisingSteps = 3, Seed = 5, EosTokenIds = [], ConfidenceThreshold = -1,
    };

    /// <summary>tiny-chat's window is shorter than the prompts.</summary>
    [Theory]
    [InlineData("tiny-2layer")]
    [InlineData("tiny-chat")]
    public void Neighbours_change_no_bit(string checkpoint)
    {
        Assert.SkipUnless(Kernels.HasManaged, "libtorch's products differ with the number of rows.");
        Assert.SkipWhen(VectorKernels.Supported.Count == 0, "This processor has no fused multiply-add.");
        using var model = DiffusionGemmaModel.Load(Fixtures.Checkpoint(checkpoint), CPU, ScalarType.Float32);
        LoraAdapter?[] adapters =
        [
            null, DrawnAdapter.Create(model, 1, 0.3, new LoraOptions { Rank = 3, SelfConditioning = true }),
            DrawnAdapter.Create(model, 2, 0.3, new LoraOptions { Rank = 8, Experts = true, ExpertRank = 2 }),
            .. checkpoint == "tiny-2layer"
                ? [LoraAdapter.Load(Fixtures.Path("adapters", "all-linear"), model)] : Array.Empty<LoraAdapter>(),
        ];
        var random = new Random(3);
        int[] Draw(int n) => [.. Enumerable.Range(0, n).Select(_ => random.Next(4, model.Config.VocabularySize))];
        int[] beginning = Draw(SharedPrefix.LeastLength + 21);
        int[][] prompts =
            [Draw(3), [.. beginning, .. Draw(5)], Draw(4), [.. beginning, .. Draw(70)], Draw(4), Draw(64), Draw(190), [.. beginning, 9]];
        GenerationRequest[] requests = [.. Enumerable.Range(0, 2 * prompts.Length)
            .Select(i => new GenerationRequest(prompts[i % prompts.Length]) { Adapter = adapters[i * 5 / 8 % adapters.Length] })];

        string[] alone = [.. requests.Select(request => Answers(model, [request], 1)[0])];
        Assert.Equal(alone, Answers(model, requests, 3));
        Assert.Equal(alone, Answers(model, requests, 16));
        Assert.Equal(alone.Reverse(), Answers(model, [.. requests.Reverse()], 5));
        Assert.True(alone.Distinct().Count() > prompts.Length, "adapters change what comes of a prompt");
        foreach (LoraAdapter? adapter in adapters) adapter?.Dispose();
    }

    /// <summary>A row's tokens, and the entropies of all its steps to the last digit.</summary>
    private static string[] Answers(DiffusionGemmaModel model, GenerationRequest[] requests, int batchSize)
    {
        string[] entropies = new string[requests.Length];
        var drafts = new ImmediateProgress<DenoisingStep>(step => entropies[step.Row] +=
            string.Join(' ', step.Entropies.Select(entropy => entropy.ToString("R", CultureInfo.InvariantCulture))) + ';');
        IReadOnlyList<GenerationResult> results = CanvasGenerator.Generate(model, requests, Options, batchSize, drafts: drafts);
        return [.. results.Select((result, i) => $"{string.Join(' ', result.Ids)} | {entropies[i]}")];
    }
}
