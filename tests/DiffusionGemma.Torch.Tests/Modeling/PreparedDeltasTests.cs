using static TorchSharp.torch;

namespace DiffusionGemma;

/// <summary>Deltas that are held as products read them: the same products, for as long as rows run with them and no longer.</summary>
public class PreparedDeltasTests : TorchTest
{
    private static readonly LoraOptions Options = new() { Rank = 3, Experts = true, ExpertRank = 2, SelfConditioning = true };

    [Theory]
    [InlineData(ScalarType.Float64)]
    [InlineData(ScalarType.Float32)]
    public void Products_are_those_of_deltas_made_for_the_use(ScalarType dtype)
    {
        using var model = DiffusionGemmaModel.Load(Fixtures.Checkpoint("tiny-2layer"), CPU, dtype);
        using LoraAdapter adapter = DrawnAdapter.Create(model, 1, 0.3, Options);
        using var held = new PreparedDeltas();
        using var none = new PreparedDeltas(mostBytes: 1000);
        model.Adapter = adapter;
        Tensor Hidden(PreparedDeltas? prepared)
        {
            using IDisposable quiet = no_grad();
            using EncoderCache cache = model.Encode(
                tensor(new long[,] { { 2, 30, 31, 32 } }), null, null, new PassContext(Pass.Encoder) { Prepared = prepared });
            return cache.LastHiddenState.clone();
        }
        Tensor expected = Hidden(null);
        for (int use = 0; use < 2; use++)
        {
            Assert.Equal(0, Largest(Hidden(held), expected));
            Assert.Equal(0, Largest(Hidden(none), expected));
        }
        // Seven projections and two stacks a layer; self-conditioning is the decoder's.
        Assert.Equal(model.Stack.Layers.Sum(layer => layer.Linears.Count()) + 2 * model.Stack.Layers.Count, held.Count);
        Assert.InRange(none.Count, 0, 1);
        held.KeepOnly([adapter, LoraAdapter.None]);
        Assert.NotEqual(0, held.Count);
        held.KeepOnly([LoraAdapter.None]);
        Assert.Equal(0, held.Count);
        model.Adapter = null;
    }

    /// <summary>Weights may change while no row runs, as in training between two answers.</summary>
    [Fact]
    public async Task Weights_that_changed_between_answers_count()
    {
        using var model = DiffusionGemmaModel.Load(Fixtures.Checkpoint("tiny-2layer"), CPU, ScalarType.Float32);
        using LoraAdapter adapter = DrawnAdapter.Create(model, 1, 0.3, Options), other = DrawnAdapter.Create(model, 2, 0.3, Options);
        var options = new GenerationOptions { MaxNewTokens = 24, MaxDenoisingSteps = 4, EosTokenIds = [], ConfidenceThreshold = -1 };
        await using var queue = new GenerationQueue(model, options);
        async Task<string> AskAsync(LoraAdapter asked) =>
            string.Join(' ', (await queue.GenerateAsync(new GenerationRequest([2, 50, 51, 52]) { Adapter = asked })).Ids);
        string before = await AskAsync(adapter), wanted = await AskAsync(other);
        Assert.NotEqual(before, wanted);
        using (no_grad())
            foreach (((_, Tensor to), (_, Tensor from)) in adapter.Parameters().Zip(other.Parameters())) to.copy_(from);
        Assert.Equal(wanted, await AskAsync(adapter));
    }
}
