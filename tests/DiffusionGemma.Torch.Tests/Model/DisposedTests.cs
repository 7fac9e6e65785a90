using static TorchSharp.torch;

namespace DiffusionGemma;

/// <summary>Objects that are disposed of twice, in every order, and used afterwards: an exception that says so, never a crash.</summary>
public sealed class DisposedTests : TorchTest
{
    private static readonly int[] Prompt = [2, 30, 31];
    private static readonly GenerationOptions Short = new() { EosTokenIds = [], MaxDenoisingSteps = 2 };
    private readonly TemporaryFolder _folder = Fixtures.Temporary("disposed");

    public override void Dispose()
    {
        _folder.Dispose();
        base.Dispose();
    }

    [Theory]
    [InlineData("tiny-2layer", Quantization.None)]
    [InlineData("tiny-chat", Quantization.Int8)]
    public async Task A_model(string checkpoint, Quantization quantization)
    {
        DiffusionGemmaModel model = DiffusionGemmaModel.Load(Fixtures.Checkpoint(checkpoint), quantization: quantization);
        using LoraAdapter adapter = LoraAdapter.Create(model, new LoraOptions { Rank = 2 }, seed: 1);
        adapter.Save(_folder.Path, "the base");
        Tensor ids = tensor(new long[,] { { 2, 30, 31 } }), canvas = tensor(new long[,] { { 7, 8, 9, 10 } });
        using EncoderCache cache = model.Encode(ids);
        using var queue = new GenerationQueue(model);
        await queue.GenerateAsync(new GenerationRequest(Prompt) { Options = Short }, TestContext.Current.CancellationToken);
        model.Adapter = adapter;
        model.Dispose();
        model.Dispose();

        Throws(() => model.Encode(ids));
        Throws(() => model.Decode(canvas, cache));
        Throws(() => model.Logits(zeros(1, model.Config.HiddenSize)));
        Throws(() => model.Save(_folder.File("saved")));
        Throws(() => model.Adapter = adapter);
        Throws(() => FineTuner.Fit(model, TinyRows.Make(8), TinyRows.Options with { Lora = new LoraOptions() }));
        Throws(() => FineTuner.Evaluate(model, TinyRows.Make(1)));
        Throws(() => CanvasGenerator.Generate(model, [Prompt], Short));
        Throws(() => LoraAdapter.Load(_folder.Path, model));
        Throws(() => adapter.MergeInto(model));
        Throws(() => adapter.SaveMerged(model, _folder.File("merged")));
        await Assert.ThrowsAsync<ObjectDisposedException>(
            () => queue.GenerateAsync(new GenerationRequest(Prompt) { Options = Short }, TestContext.Current.CancellationToken));
        Assert.Equal(checkpoint, Path.GetFileName(model.Folder));                                // settings can still be read
        model.Adapter = null;                                                                   // and the adapter taken off
    }

    [Fact]
    public void A_cache()
    {
        using DiffusionGemmaModel model = DiffusionGemmaModel.Load(Fixtures.Checkpoint("tiny-2layer"));
        Tensor ids = tensor(new long[,] { { 2, 30, 31 } }), canvas = tensor(new long[,] { { 7, 8, 9, 10 } });
        EncoderCache cache = model.Encode(ids);
        cache.Dispose();
        cache.Dispose();
        Throws(() => cache.Length);
        Throws(() => cache.LastHiddenState);
        Throws(() => model.Encode(ids, past: cache));
        Throws(() => model.Decode(canvas, cache));
    }

    [Fact]
    public async Task A_queue()
    {
        using DiffusionGemmaModel model = DiffusionGemmaModel.Load(Fixtures.Checkpoint("tiny-2layer"));
        var queue = new GenerationQueue(model);
        queue.Dispose();
        queue.Dispose();
        await queue.DisposeAsync();
        await Assert.ThrowsAsync<ObjectDisposedException>(
            () => queue.GenerateAsync(new GenerationRequest(Prompt), TestContext.Current.CancellationToken));
        await Assert.ThrowsAsync<ObjectDisposedException>(async () =>
        {
            await foreach (GenerationUpdate _ in queue.StreamAsync(new GenerationRequest(Prompt), default)) { }
        });
        CanvasGenerator.Generate(model, [Prompt], Short);                                        // the model is not the queue's
    }

    [Fact]
    public void A_result_of_a_folder_in_every_order()
    {
        FineTuneOptions options = TinyRows.Options with { Lora = new LoraOptions { Rank = 2 }, MaxSteps = 1 };
        for (int order = 0; order < 3; order++)
        {
            FineTuneResult result = FineTuner.Fit(Fixtures.Checkpoint("tiny-2layer"), TinyRows.Make(8), options);
            DiffusionGemmaModel model = result.Model!;
            if (order == 1) model.Dispose();
            if (order == 2) result.Adapter!.Dispose();
            result.Dispose();
            result.Dispose();
            model.Dispose();
            result.Adapter!.Dispose();
            Throws(() => CanvasGenerator.Generate(model, [Prompt], Short));
            Assert.Single(result.History);
        }
    }

    /// <summary>While it is a model's own adapter, taken off, or after its model.</summary>
    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    [InlineData(2)]
    public void An_adapter_in_every_order(int order)
    {
        DiffusionGemmaModel model = DiffusionGemmaModel.Load(Fixtures.Checkpoint("tiny-2layer"));
        LoraAdapter adapter = LoraAdapter.Create(model, new LoraOptions { Rank = 2 }, seed: 1);
        if (order < 2) model.Adapter = adapter;
        if (order == 1) model.Adapter = null;
        if (order == 2) model.Dispose();
        adapter.Dispose();
        adapter.Dispose();
        Throws(() => adapter.Save(_folder.Path, "the base"));
        Throws(() => adapter.MergeInto(model));
        Throws(() => adapter.SaveMerged(model, _folder.File("merged")));
        Assert.Empty(Directory.EnumerateFileSystemEntries(_folder.Path));
        if (order < 2)
        {
            if (order == 0) Throws(() => CanvasGenerator.Generate(model, [Prompt], Short));
            model.Adapter = null;
            Throws(() => model.Adapter = adapter);
            Assert.Single(CanvasGenerator.Generate(model, [Prompt], Short));                     // the model is not the adapter's
        }
        model.Dispose();
        Assert.Equal(2, adapter.Rank);                                                  // settings can still be read
        LoraAdapter.None.Dispose();
        LoraAdapter.None.Dispose();
    }

    [Theory]
    [InlineData(0)]
    [InlineData(long.MaxValue)]
    public void A_store_of_rows(long inMemory)
    {
        var store = new PackedRowStore(inMemory, _folder.Path);
        TrainingExample row = TinyRows.Make(1)[0];
        store.Add(row);
        Assert.Equal(row.InputIds, store[0].InputIds);
        store.Dispose();
        store.Dispose();
        Throws(() => store[0]);
        Throws(() => store.Add(row));
        Throws(() => store.ToArray());
        Assert.Empty(Directory.EnumerateFileSystemEntries(_folder.Path));
    }

    [Fact]
    public void A_file()
    {
        SafetensorsFile file = SafetensorsFile.Open(Fixtures.Checkpoint("tiny-2layer"));
        string name = file.Tensors.Keys.First();
        file.Dispose();
        file.Dispose();
        Throws(() => file.Read(name));
    }

    private static void Throws(Func<object?> use) => Assert.Throws<ObjectDisposedException>(() => { use(); });

    private static void Throws(Action use) => Assert.Throws<ObjectDisposedException>(use);
}
