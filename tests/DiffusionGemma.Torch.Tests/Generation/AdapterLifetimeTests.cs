using static TorchSharp.torch;

namespace DiffusionGemma;

/// <summary>Adapters that come and go while a queue runs.</summary>
public class AdapterLifetimeTests : TorchTest
{
    private static readonly GenerationOptions Options = new()
    {
        MaxNewTokens = 24, MaxDenoisingSteps = 6, Seed = 11, EosTokenIds = [], ConfidenceThreshold = -1,
    };

    private readonly DiffusionGemmaModel _model = DiffusionGemmaModel.Load(Fixtures.Checkpoint("tiny-2layer"), CPU, ScalarType.Float64);

    public override void Dispose()
    {
        _model.Dispose();
        base.Dispose();
    }

    [Fact]
    public void A_disposed_adapter_is_not_trained_on()
    {
        LoraAdapter adapter = DrawnAdapter.Create(_model, 1, 0.3);
        _model.Adapter = adapter;
        adapter.Dispose();
        FineTuneOptions options = TinyRows.Options with { Lora = new LoraOptions(), MaxSteps = 1 };
        Assert.Throws<ObjectDisposedException>(() => FineTuner.Fit(_model, TinyRows.Make(4), options));
    }

    /// <summary>Each caller makes an adapter, asks with it, and disposes it at once: the answer is that of the adapter alone.</summary>
    [Fact]
    public async Task An_adapter_in_use_is_freed_with_its_last_row()
    {
        int[][] prompts = [.. Enumerable.Range(0, 12).Select(i => new[] { 2, 30 + i, 31, 32 + (i % 3) })];
        var alone = new List<string>();
        for (int i = 0; i < prompts.Length; i++)
        {
            using LoraAdapter adapter = DrawnAdapter.Create(_model, 1 + i, 0.3);
            alone.Add(Ids(CanvasGenerator.Generate(_model, [new GenerationRequest(prompts[i]) { Adapter = adapter }], Options)[0]));
        }
        var tensors = new List<Tensor>();
        await using (var queue = new GenerationQueue(_model, Options, batchSize: 3))
        {
            var answers = new List<Task<GenerationResult>>();
            for (int i = 0; i < prompts.Length; i++)
            {
                LoraAdapter adapter = DrawnAdapter.Create(_model, 1 + i, 0.3);
                tensors.AddRange(adapter.Parameters().Select(p => p.Value));
                var request = new GenerationRequest(prompts[i]) { Adapter = adapter };
                answers.Add(queue.GenerateAsync(request));
                adapter.Dispose();
                await Assert.ThrowsAsync<ObjectDisposedException>(() => queue.GenerateAsync(request));
            }
            Assert.Contains(tensors, tensor => !tensor.IsInvalid);
            Assert.Equal(alone, (await Task.WhenAll(answers)).Select(Ids));
        }
        Assert.All(tensors, tensor => Assert.True(tensor.IsInvalid));
    }

    /// <summary>Requests that end without an answer, by cancellation or with the queue, leave their adapters too.</summary>
    [Fact]
    public async Task Every_way_out_of_the_queue_leaves_the_adapter()
    {
        LoraAdapter running = DrawnAdapter.Create(_model, 1, 0.3), waiting = DrawnAdapter.Create(_model, 2, 0.3);
        Tensor[] ofRunning = [.. running.Parameters().Select(p => p.Value)], ofWaiting = [.. waiting.Parameters().Select(p => p.Value)];
        var endless = new GenerationOptions { MaxDenoisingSteps = 100_000 };
        var queue = new GenerationQueue(_model, Options, batchSize: 1);
        using var cancellation = new CancellationTokenSource();
        Task<GenerationResult> first = queue.GenerateAsync(new GenerationRequest([2, 30]) { Adapter = running, Options = endless });
        Task<GenerationResult> second = queue.GenerateAsync(
            new GenerationRequest([2, 31]) { Adapter = waiting, Options = endless }, cancellation.Token);
        running.Dispose();
        waiting.Dispose();
        await cancellation.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => second);
        Assert.All(ofWaiting, tensor => Assert.True(tensor.IsInvalid));
        Assert.All(ofRunning, tensor => Assert.False(tensor.IsInvalid));
        await queue.DisposeAsync();
        await Assert.ThrowsAsync<ObjectDisposedException>(() => first);
        Assert.All(ofRunning, tensor => Assert.True(tensor.IsInvalid));
    }

    /// <summary>The model's own adapter is kept for its rows as any other.</summary>
    [Fact]
    public async Task The_models_own_adapter_may_be_disposed_while_its_rows_run()
    {
        LoraAdapter own = DrawnAdapter.Create(_model, 1, 0.3);
        _model.Adapter = own;
        string alone = Ids(CanvasGenerator.Generate(_model, [[2, 30, 31]], Options)[0]);
        await using var queue = new GenerationQueue(_model, Options);
        Task<GenerationResult> answer = queue.GenerateAsync(new GenerationRequest([2, 30, 31]));
        own.Dispose();
        Assert.Equal(alone, Ids(await answer));
        await Assert.ThrowsAsync<ObjectDisposedException>(() => queue.GenerateAsync(new GenerationRequest([2, 30, 31])));
        Assert.NotEmpty((await queue.GenerateAsync(new GenerationRequest([2, 30]) { Adapter = LoraAdapter.None })).Ids);
    }

    [Fact]
    public void No_deltas_at_all_are_never_disposed()
    {
        LoraAdapter.None.Dispose();
        LoraAdapter.None.Use().Dispose();
        Assert.Empty(LoraAdapter.None.Modules);
        Assert.Equal(0, LoraAdapter.None.ParameterCount);
    }

    /// <summary>One beginning an adapter; the least recently used one goes first, those of disposed adapters at once.</summary>
    [Fact]
    public void Encoded_beginnings_are_bounded()
    {
        LoraAdapter[] adapters = [.. Enumerable.Range(1, 3).Select(seed => DrawnAdapter.Create(_model, seed, 0.3))];
        KeyValues[] layers = [.. Enumerable.Range(0, 4).Select(_ => new KeyValues(zeros(1), zeros(1)))];
        using var prefixes = new EncodedPrefixes(most: 2);
        prefixes.Replace(adapters[0], [1], [layers[0]]);
        prefixes.Replace(adapters[1], [2], [layers[1]]);
        Assert.Equal([1], prefixes.Find(adapters[0])!.Value.Ids);
        prefixes.Replace(adapters[2], [3], [layers[2]]);
        Assert.Null(prefixes.Find(adapters[1]));
        Assert.Equal([false, true, false], layers[..3].Select(layer => layer.Keys.IsInvalid));
        prefixes.Replace(adapters[0], [4], [layers[3]]);
        Assert.True(layers[0].Values.IsInvalid);
        Assert.Equal([4], prefixes.Find(adapters[0])!.Value.Ids);
        adapters[0].Dispose();
        prefixes.RemoveDisposed();
        Assert.Null(prefixes.Find(adapters[0]));
        Assert.Equal(1, prefixes.Count);
        prefixes.Dispose();
        Assert.All(layers, layer => Assert.True(layer.Keys.IsInvalid && layer.Values.IsInvalid));
        Array.ForEach(adapters, adapter => adapter.Dispose());
    }

    private static string Ids(GenerationResult result) => string.Join(' ', result.Ids);
}
