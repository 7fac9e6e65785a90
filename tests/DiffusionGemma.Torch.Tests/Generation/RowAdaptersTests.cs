using static TorchSharp.torch;

namespace DiffusionGemma;

/// <summary>Rows of one batch that run with different adapters: each as if it were alone, with its adapter set on the model.</summary>
public class RowAdaptersTests : TorchTest
{
    private static readonly int[][] Prompts =
    [
        [2, 30, 31], [2, 40, 41, 42], [2, 50, 51, 52, 53, 54, 55], [2, 60, 61, 62], [2, 70, 71], [2, 80, 81, 82, 83], [2, 90, 91],
        [2, 100, 101, 102, 103, 104],
    ];

    private static readonly GenerationOptions Options = new()
    {
        MaxNewTokens = 24, MaxDenoisingSteps = 4, Seed = 5, EosTokenIds = [], ConfidenceThreshold = -1,
    };

    /// <summary>
    /// The prompts' passes and two over their canvases, the second conditioned on the first. PEFT's own adapters: one set of values for
    /// both passes, one for each, for the decoder alone, and of experts; the base between them.
    /// </summary>
    [Theory]
    [InlineData(ScalarType.Float64, Quantization.None, 1e-10)]
    [InlineData(ScalarType.Float64, Quantization.Int8, 1e-10)]
    [InlineData(ScalarType.Float32, Quantization.None, 1e-4)]
    [InlineData(ScalarType.Float32, Quantization.Int8, 1e-4)]
    [InlineData(ScalarType.BFloat16, Quantization.None, 0.25)]
    public void Logits_equal_those_of_each_adapter_alone(ScalarType dtype, Quantization quantization, double tolerance)
    {
        using var model = DiffusionGemmaModel.Load(Fixtures.Checkpoint("tiny-6layer"), CPU, dtype, quantization);
        LoraAdapter[] loaded =
            [.. new[] { "shared", "separate", "decoder-only", "experts" }
                .Select(kind => LoraAdapter.Load(Fixtures.Path("adapters", kind), model))];
        AssertEqualAlone(model, [.. loaded, LoraAdapter.None], tolerance);
        Array.ForEach(loaded, adapter => adapter.Dispose());
    }

    /// <summary>Routers and self-conditioning too; ranks that differ, and expert stacks of which one adapter has one alone.</summary>
    [Fact]
    public void Every_kind_of_module_takes_part()
    {
        using var model = DiffusionGemmaModel.Load(Fixtures.Checkpoint("tiny-2layer"), CPU, ScalarType.Float64);
        using LoraAdapter all = LoraAdapter.Load(Fixtures.Path("adapters", "all-linear"), model);
        using LoraAdapter experts = DrawnAdapter.Create(
            model, 1, 0.3, new LoraOptions { Rank = 3, Experts = true, ExpertRank = 2, SelfConditioning = true });
        using LoraAdapter down = DrawnAdapter.Create(model, 2, 0.3, new LoraOptions { Rank = 5, Targets = [], Experts = true });
        foreach ((string name, (_, ExpertsLora? stacks)) in down.ExpertStacks.ToArray())
            down.ExpertStacks[name] = (stacks! with { GateUp = null }, stacks with { GateUp = null });
        Assert.Contains("model.decoder.layers.0.router.proj", all.Modules);
        AssertEqualAlone(model, [all, experts, down, LoraAdapter.None], 1e-10);
    }

    /// <summary>A row without an adapter of its own runs with the model's, which <see cref="LoraAdapter.None"/> takes off.</summary>
    [Fact]
    public void A_row_has_the_models_adapter_unless_it_names_another()
    {
        using var model = DiffusionGemmaModel.Load(Fixtures.Checkpoint("tiny-2layer"), CPU, ScalarType.Float64);
        using LoraAdapter one = DrawnAdapter.Create(model, 1, 0.3), two = DrawnAdapter.Create(model, 2, 0.3);
        string Answer(LoraAdapter? own, LoraAdapter? asked)
        {
            model.Adapter = own;
            return Ids(CanvasGenerator.Generate(model, [new GenerationRequest(Prompts[2]) { Adapter = asked }], Options)[0]);
        }
        string plain = Answer(null, null), first = Answer(one, null), second = Answer(two, null);
        Assert.Equal(3, new[] { plain, first, second }.Distinct().Count());
        Assert.Equal([plain, plain, first, second], [Answer(one, LoraAdapter.None), Answer(LoraAdapter.None, null), Answer(null, one),
            Answer(one, two)]);
    }

    /// <summary>Rows join late and leave early: the batch's order changes, and with it who is beside whom.</summary>
    [Fact]
    public void An_answer_does_not_depend_on_its_neighbours_adapters()
    {
        using var model = DiffusionGemmaModel.Load(Fixtures.Checkpoint("tiny-2layer"), CPU, ScalarType.Float64);
        LoraAdapter[] adapters = [.. Enumerable.Range(1, 3).Select(seed => DrawnAdapter.Create(model, seed, 0.3)), LoraAdapter.None];
        GenerationRequest Request(int i, int turn) => new(Prompts[i])
        {
            Adapter = adapters[(i + turn) % 4], Options = new() { MaxNewTokens = 8 * (1 + (i % 3)) },
        };
        for (int turn = 0; turn < 4; turn++)
        {
            GenerationRequest[] requests = [.. Enumerable.Range(0, Prompts.Length).Select(i => Request(i, turn))];
            string[] mixed = [.. CanvasGenerator.Generate(model, requests, Options, batchSize: 3).Select(Ids)];
            Assert.Equal(requests.Select(r => Ids(CanvasGenerator.Generate(model, [r], Options)[0])), mixed);
        }
        foreach (LoraAdapter adapter in adapters) adapter.Dispose();
    }

    /// <summary>A beginning that all prompts share, encoded by one adapter, is of no use to another.</summary>
    [Fact]
    public async Task Beginnings_are_shared_within_one_adapter()
    {
        using var model = DiffusionGemmaModel.Load(Fixtures.Checkpoint("tiny-2layer"), CPU, ScalarType.Float64);
        using LoraAdapter one = DrawnAdapter.Create(model, 1, 0.3), two = DrawnAdapter.Create(model, 2, 0.3);
        int[] system = [.. Enumerable.Range(0, SharedPrefix.LeastLength + 5).Select(i => 4 + (i * 7 % 100))];
        GenerationRequest[] requests = [.. Prompts.Select((p, i) => new GenerationRequest([.. system, .. p])
        {
            Adapter = i % 3 == 0 ? one : i % 3 == 1 ? two : null,
        })];
        string[] alone = [.. requests.Select(r => Ids(CanvasGenerator.Generate(model, [r], Options)[0]))];
        Assert.Equal(alone, CanvasGenerator.Generate(model, requests, Options, batchSize: 4).Select(Ids));
        await using var queue = new GenerationQueue(model, Options, batchSize: 4);
        Assert.Equal(alone, (await Task.WhenAll(requests.Select(r => queue.GenerateAsync(r)))).Select(Ids));
    }

    /// <summary>An adapter that trains is used as it is: no gradient comes of it, and none that is there changes.</summary>
    [Fact]
    public void Gradients_are_not_touched()
    {
        using var model = DiffusionGemmaModel.Load(Fixtures.Checkpoint("tiny-2layer"), CPU, ScalarType.Float64);
        using LoraAdapter one = DrawnAdapter.Create(model, 1, 0.3), two = DrawnAdapter.Create(model, 2, 0.3);
        Tensor[] tensors = [.. one.Parameters().Concat(two.Parameters()).Select(p => p.Value.requires_grad_(true))];
        model.Adapter = one;
        Tensor[] Gradients()
        {
            foreach (Tensor tensor in tensors) tensor.grad = null;
            var context = new PassContext(Pass.Encoder);
            using EncoderCache cache = model.Encode(tensor(new long[,] { { 2, 30, 31, 32 } }), null, null, context);
            context.Backward.Run([(cache.LastHiddenState, ones_like(cache.LastHiddenState))]);
            return [.. one.Parameters().Select(p => p.Value.grad!.clone())];
        }
        Tensor[] before = Gradients(), held = [.. one.Parameters().Select(p => p.Value.grad!)];
        CanvasGenerator.Generate(
            model, [.. Prompts.Select((p, i) => new GenerationRequest(p) { Adapter = i % 2 == 0 ? one : two })], Options);
        Assert.All(two.Parameters(), p => Assert.Null(p.Value.grad));
        foreach ((Tensor now, Tensor then) in held.Zip(before)) Assert.Equal(0, Largest(now, then));
        foreach ((Tensor now, Tensor then) in Gradients().Zip(before)) Assert.Equal(0, Largest(now, then));
    }

    [Fact]
    public void An_adapter_that_does_not_fit_is_refused_by_the_request_that_names_it()
    {
        using var model = DiffusionGemmaModel.Load(Fixtures.Checkpoint("tiny-2layer"), CPU, ScalarType.Float64);
        using var other = DiffusionGemmaModel.Load(Fixtures.Checkpoint("tiny-6layer"), CPU, ScalarType.Float64);
        using LoraAdapter foreign = LoraAdapter.Load(Fixtures.Path("adapters", "shared"), other);
        GenerationRequest[] requests = [new(Prompts[0]), new(Prompts[1]) { Adapter = foreign }];
        var error = Assert.Throws<GenerationRequestException>(() => CanvasGenerator.Generate(model, requests, Options));
        Assert.Equal(1, error.Index);
        Assert.Contains("names an adapter that holds model.decoder.layers.0.", error.Reason, StringComparison.Ordinal);
        Assert.EndsWith("it was made for another model.", error.Reason, StringComparison.Ordinal);

        using LoraAdapter gone = DrawnAdapter.Create(model, 1, 0.3);
        gone.Dispose();
        Assert.Throws<ObjectDisposedException>(
            () => CanvasGenerator.Generate(model, [new GenerationRequest(Prompts[1]) { Adapter = gone }], Options));
        Assert.Throws<ObjectDisposedException>(() => model.Adapter = gone);
        Assert.Throws<ObjectDisposedException>(() => gone.Save("nowhere", "base"));
        Assert.Throws<InvalidOperationException>(() => LoraAdapter.None.Save("nowhere", "base"));
    }

    private static string Ids(GenerationResult result) => string.Join(' ', result.Ids);

    private static void AssertEqualAlone(DiffusionGemmaModel model, LoraAdapter[] adapters, double tolerance)
    {
        // Neighbours of one adapter, and one adapter in two places.
        int[] order = [0, 1, 1, 2, 3 % adapters.Length, 0, adapters.Length - 1, 2];
        GenerationRequest[] requests = [.. Prompts.Select((p, i) => new GenerationRequest(p) { Adapter = adapters[order[i]] })];
        Tensor mixed = Logits(model, requests);
        var seen = new List<Tensor>();
        for (int row = 0; row < requests.Length; row++)
        {
            model.Adapter = requests[row].Adapter;
            Tensor alone = Logits(model, [new GenerationRequest(Prompts[row])]);
            model.Adapter = null;
            Tensor own = mixed.narrow(1, row, 1);
            double difference = Largest(own, alone);
            Assert.True(difference <= tolerance, $"row {row}: {difference}");
            seen.Add(alone);
        }
        using Tensor plain = Logits(model, [new GenerationRequest(Prompts[0])]);
        Assert.True(Largest(seen[0], plain) > 20 * tolerance, "the adapter changes what the row without it has");
    }

    /// <summary>Logits of two passes [2,rows,C,V], the second conditioned on the first.</summary>
    private static Tensor Logits(DiffusionGemmaModel model, GenerationRequest[] requests)
    {
        using IDisposable quiet = no_grad();
        using var scope = NewDisposeScope();
        ResolvedGenerationOptions options = ResolvedGenerationOptions.Resolve(Options, model.Folder, model.Config);
        DenoisingRow[] rows = [.. requests.Select((request, i) => new DenoisingRow(i, request, options, model))];
        using var batch = new DenoisingBatch(model);
        using var head = new CanvasHead(model);
        batch.Admit(rows);
        foreach (DenoisingRow row in rows) row.BeginCanvas();
        var logits = new List<Tensor>();
        for (int pass = 0; pass < 2; pass++)
        {
            Tensor hidden = batch.Decode();
            logits.Add(model.Logits(hidden));
            head.Visit(hidden, [.. rows.Select(row => row.Temperature)], [.. rows.Select(row => row.Grammar)], whole: false, chunk =>
            {
                Tensor expected = chunk.ExpectedEmbeddings();
                int[] same = [.. Enumerable.Repeat(7, model.Config.CanvasLength)];
                // The same tokens whatever the distributions are: a tie would choose others.
                for (int i = 0; i < chunk.Rows; i++)
                    rows[chunk.First + i].Advance(chunk.Row(i), chunk.Propose(i, same), random: same);
                batch.Condition(chunk.First, expected);
            });
        }
        return stack(logits).MoveToOuterDisposeScope();
    }
}
