using System.Globalization;
using TorchSharp;
using static TorchSharp.torch;

namespace DiffusionGemma;

/// <summary>
/// The released text model on the device <c>meta</c>: every operator and every shape of it, without its memory. Values are not computed;
/// the small fixtures hold those.
/// </summary>
[Collection(Alone.Name)]
public class MetaModelTests : TorchTest
{
    private static readonly Device Meta = new(DeviceType.META);

    /// <summary>The model's weights take 50 GB, the logits of one canvas 0.27 GB. What runs here is code.</summary>
    private const long MostBytes = 250_000_000;

    /// <summary>A training step up to the sum of gradients: both passes, the first one of self-conditioning, losses, backward.</summary>
    [Theory]
    [InlineData(true, false)]
    [InlineData(true, true)]
    [InlineData(false, false)]
    public void The_released_model_trains(bool lora, bool checkpointing)
    {
        using TemporaryFolder folder = Fixtures.Temporary();
        SparseCheckpoint.Write(folder.Path, layers: 30, vocabulary: 262_144);
        long before = ResetPeak();
        using var model = DiffusionGemmaModel.Load(folder.Path, Meta);
        Assert.Equal(691, model.Stack.Parameters.Count);
        Assert.All(model.Stack.Parameters.Values, weight => Assert.Equal(DeviceType.META, weight.device_type));
        Train(model, lora ? new LoraOptions { Experts = true, ExpertRank = 1, SelfConditioning = true } : null, checkpointing);
        RequireNoMemory(before);
    }

    /// <summary>Masks are drawn on the host and go to the device; weights of 4 bits are widened there.</summary>
    [Theory]
    [InlineData(0.3, false)]
    [InlineData(0, true)]
    public void A_small_model_trains(double dropout, bool quantized)
    {
        using var model = DiffusionGemmaModel.Load(
            Fixtures.Checkpoint("tiny-2layer"), Meta, ScalarType.BFloat16, quantized ? Quantization.Int4 : Quantization.None);
        Train(model, new LoraOptions { Dropout = dropout, Experts = dropout == 0 }, checkpointing: quantized);
    }

    /// <summary>
    /// The whole loop, with all that rows may ask for beside each other: adapters, grammars, given tokens, a nucleus, another sampler.
    /// Every read answers zeros, which are finite.
    /// </summary>
    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void A_small_model_answers(bool quantized)
    {
        using var model = DiffusionGemmaModel.Load(
            Fixtures.Checkpoint("tiny-chat"), Meta, ScalarType.BFloat16, quantized ? Quantization.Int4 : Quantization.None);
        using LoraAdapter first = LoraAdapter.Create(model, new LoraOptions { Experts = true }, seed: 1),
            second = LoraAdapter.Create(model, new LoraOptions { Rank = 2, SelfConditioning = true }, seed: 2);
        GenerationOptions common = new() { MaxNewTokens = 40, MaxDenoisingSteps = 3, EosTokenIds = [1] };
        GenerationOptions[] options =
        [
            common, common with { TopP = 0.6, TopK = 5 }, common with { TMin = 0, TMax = 0 },
            common with { Sampler = CanvasSampler.BlockRefinement },
            common with { Grammar = AnswerGrammar.Regex(@"\d{1,3}"), Vocabulary = GrammarVocabularies.TinyChat(withBytes: true) },
        ];
        GenerationRequest[] requests =
        [
            .. Enumerable.Range(0, 2 * options.Length).Select(n => new GenerationRequest([2, 105, .. Enumerable.Repeat(107, n)])
            {
                Options = options[n % options.Length] with { Seed = n },
                Adapter = n % 3 == 0 ? null : n % 3 == 1 ? first : second,
                Pinned = n == 1 ? new Dictionary<int, int> { [2] = 50 } : null,
            }),
        ];
        IReadOnlyList<GenerationResult> results = CanvasGenerator.Generate(model, requests);
        Assert.Equal(requests.Length, results.Count);
        Assert.Equal(50, results[1].Ids[2]);
    }

    private static void Train(DiffusionGemmaModel model, LoraOptions? lora, bool checkpointing)
    {
        FineTuneOptions options = new()
        {
            Lora = lora,
            GlobalBatchSize = 1,
            WarmupSteps = 0,
            Run = new RunOptions { ActivationCheckpointing = checkpointing },
        };
        using LoraAdapter? adapter = lora is null ? null : LoraAdapter.Create(model, lora, seed: 1);
        model.Adapter = adapter;
        IReadOnlyList<TrainedParameter> trained = adapter?.ListTrained() ?? TrainedParts.Parameters(model);
        Assert.All(trained, parameter => Assert.Equal(DeviceType.META, parameter.Value.device_type));
        foreach (TrainedParameter parameter in trained) parameter.Value.requires_grad_(true);
        using var ranks = RankGroups.Single(Meta);
        using var optimizer = new AdamW(trained, ranks, 0.9, 0.95, 1e-8, 0.1);
        using var workers = new Workers(1);
        var step = new TrainingStep(model, trained, options, 1, 1, ranks, optimizer, workers);

        step.RunEverywhere(Batch(model.Config), CancellationToken.None);

        foreach (TrainedParameter parameter in trained)
            Assert.Equal(DeviceType.META, optimizer.Gradients.BufferOf(parameter.Value).device_type);
        model.Adapter = null;
    }

    /// <summary>A prompt, and two decoder passes up to entropies and most likely tokens, the second conditioned on the first.</summary>
    [Fact]
    public void The_released_model_denoises()
    {
        using TemporaryFolder folder = Fixtures.Temporary();
        SparseCheckpoint.Write(folder.Path, layers: 30, vocabulary: 262_144);
        long before = ResetPeak();
        using var model = DiffusionGemmaModel.Load(folder.Path, Meta);
        using IDisposable quiet = no_grad();
        using EncoderCache cache = model.Encode(zeros(1, 64, dtype: ScalarType.Int64));
        Tensor canvas = zeros(1, model.Config.CanvasLength, dtype: ScalarType.Int64);
        Tensor? logits = null;
        using var head = new CanvasHead(model);
        for (int pass = 0; pass < 2; pass++)
        {
            Tensor hidden = model.Decode(canvas, cache, logits, null, null, null, new PassContext(Pass.Decoder));
            Assert.Equal([1, 256, 2816], hidden.shape);
            int visits = 0;
            head.Visit(hidden, [0.8], [null], false, distributions =>
            {
                IRowDistribution row = distributions.Row(0);
                Assert.Equal(256, row.Best.Length);
                Assert.Equal(256, row.Entropies.Length);
                Assert.Equal([1, 256, 2816], distributions.ExpectedEmbeddings().shape);
                visits++;
            });
            Assert.Equal(1, visits);
            logits = model.Logits(hidden);
            Assert.Equal((262_144, DeviceType.META), (logits.shape[2], logits.device_type));
        }
        RequireNoMemory(before);
    }

    /// <summary>Products on meta take a real tensor without a word; the doors that every operand passes do not.</summary>
    [Fact]
    public void A_real_tensor_that_is_mixed_in_is_refused()
    {
        Tensor meta = empty(4, 8, device: Meta), real = zeros(4, 8), places = zeros(2, dtype: ScalarType.Int64);
        Assert.Equal(DeviceType.META, nn.functional.linear(meta, real).device_type);
        foreach (Action mixed in new Action[]
        {
            () => Kernels.Linear(meta, real), () => Kernels.MatMul(meta, real.t()), () => Kernels.AddMatMul(real, meta, meta),
            () => Kernels.AddOuter(empty(8, 8, device: Meta), real, meta), () => Kernels.LinearInto(meta, meta, real),
            () => Kernels.GroupedLinear(meta, zeros(1, 4, 8), [4]), () => Kernels.GroupedMatMul(meta, zeros(1, 8, 4), [4]),
            () => Kernels.RmsNorm(meta, real[0], 1e-6), () => Kernels.GatedGelu(meta, real), () => Kernels.Rotate(meta, real, meta),
            () => TorchOperators.SelectRows(meta, places), () => TorchOperators.SumOfRows(meta, places, 1),
            () => TorchOperators.Attention(
                empty(1, 2, 4, 8, device: Meta), zeros(1, 2, 4, 8), empty(1, 2, 4, 8, device: Meta), null, 1),
        })
            Assert.Contains("devices", Assert.Throws<InvalidOperationException>(mixed).Message);
    }

    /// <summary>A weight, an adapter or an index that stayed behind on the CPU ends the pass.</summary>
    [Fact]
    public void A_pass_with_a_real_tensor_in_it_ends()
    {
        using Checkpoint checkpoint = Checkpoint.Open(Fixtures.Checkpoint("tiny-2layer"));
        Tensor ids = zeros(2, 5, dtype: ScalarType.Int64), mask = ones(2, 5, dtype: ScalarType.Bool);
        DiffusionGemmaModel Load(IHostReads? reads = null) =>
            DiffusionGemmaModel.LoadShare(checkpoint, Meta, ScalarType.Float32, new SingleRank(), reads: reads);

        foreach (string name in CheckpointLayout.Expected(checkpoint.Config).Keys)
            Assert.ThrowsAny<InvalidOperationException>(() =>
            {
                using ModelStack stack = ModelStack.Create(
                    checkpoint.Config, weight => checkpoint.Read(weight, weight == name ? CPU : Meta), new SingleRank());
            });
        using DiffusionGemmaModel model = Load(), real = DiffusionGemmaModel.Load(checkpoint.Folder);
        model.Encode(ids, mask).Dispose();
        using LoraAdapter adapter = LoraAdapter.Create(real, new LoraOptions { Rank = 2 }, seed: 1);
        Assert.Contains("lies on cpu", Assert.Throws<ArgumentException>(() => model.Adapter = adapter).Message);
        using DiffusionGemmaModel misread = Load(new RealIndices());
        Assert.Throws<InvalidOperationException>(() => misread.Encode(ids, mask));
    }

    /// <summary>Each quantised form's operators on a device.</summary>
    [Theory]
    [MemberData(nameof(QuantizedFixtureTests.Forms), MemberType = typeof(QuantizedFixtureTests))]
    public void Quantised_forms_run(string form)
    {
        using var model = DiffusionGemmaModel.Load(Fixtures.Path("quantized", form), Meta);
        using EncoderCache cache = model.Encode(zeros(1, 9, dtype: ScalarType.Int64));
        Tensor logits = model.Decode(zeros(1, model.Config.CanvasLength, dtype: ScalarType.Int64), cache);
        Assert.Equal((model.Config.VocabularySize, DeviceType.META), ((int)logits.shape[2], logits.device_type));
    }

    [Fact]
    public void Forms_of_operators_equal_libtorchs()
    {
        using var generator = new Generator(7);
        Tensor Draw(params long[] shape) => randn(shape, ScalarType.Float64, generator: generator);
        (Tensor q, Tensor k, Tensor v) = (Draw(2, 6, 5, 8), Draw(2, 3, 7, 8), Draw(2, 3, 7, 8));
        Tensor mask = ones(2, 1, 5, 7, dtype: ScalarType.Bool).tril(2);
        foreach (Tensor? seen in new[] { null, mask })
            Assert.InRange(Largest(MetaForms.Attention(q, k, v, seen, 0.5), TorchOperators.Attention(q, k, v, seen, 0.5)), 0, 1e-12);
        Tensor rows = Draw(6, 4), places = tensor(new long[] { 5, 0, 0, 3 });
        Assert.Equal(0, Largest(MetaForms.SelectRows(rows, places), rows.index_select(0, places)));
        Assert.InRange(Largest(MetaForms.SumOfRows(rows, places, 2), TorchOperators.SumOfRows(rows, places, 2)), 0, 1e-12);
    }

    [Fact]
    public void Reads_of_meta_fit_the_shapes()
    {
        IHostReads reads = IHostReads.For(Meta);
        long[] counts = reads.CountsOf(empty(11, dtype: ScalarType.Int64, device: Meta), 4);
        Assert.Equal((11, 4, 2, 3), (counts.Sum(), counts.Length, counts.Min(), counts.Max()));
        Assert.Equal([6], reads.IndicesOf(empty(2, 3, dtype: ScalarType.Bool, device: Meta)).shape);
        Assert.Equal([0, 0], reads.Numbers(empty(2, device: Meta)));
        IHostReads real = IHostReads.For(CPU);
        Assert.Equal([1, 0, 2], real.CountsOf(tensor(new long[] { 2, 0, 2 }), 3));
        Assert.Equal([1, 2], real.IndicesOf(tensor(new[] { false, true, true })).data<long>().ToArray());
        Assert.Equal([1.5, -2], real.Numbers(tensor(new[] { 1.5f, -2f })));
    }

    /// <summary>A row of 512 tokens with one canvas, whose coin asks for a first pass.</summary>
    private static PreparedStep Batch(DiffusionGemmaConfig config)
    {
        int[] ids = [.. Enumerable.Repeat(5, 512)];
        bool[] mask = [.. Enumerable.Range(0, 512).Select(n => n >= 512 - config.CanvasLength)];
        var row = new TrainingExample(ids, mask, 512 - config.CanvasLength, 512);
        return new PreparedStep(0, 0, [0], [row], [new ExampleDraw(ids, 0, SelfConditioned: true)]);
    }

    private static long ResetPeak()
    {
        GC.Collect();
        if (OperatingSystem.IsLinux()) File.WriteAllText("/proc/self/clear_refs", "5");
        return Peak();
    }

    /// <summary>The most that has been resident, on Linux since <see cref="ResetPeak"/>; elsewhere not asked.</summary>
    private static long Peak() =>
        !OperatingSystem.IsLinux() ? 0 : 1024 * long.Parse(
            File.ReadLines("/proc/self/status").First(line => line.StartsWith("VmHWM", StringComparison.Ordinal))
                .Split(' ', StringSplitOptions.RemoveEmptyEntries)[1], CultureInfo.InvariantCulture);

    private static void RequireNoMemory(long before) => Assert.InRange(Peak() - before, 0, MostBytes);

    /// <summary>Leaves indices on the CPU, as code that forgets a device would.</summary>
    private sealed class RealIndices : IHostReads
    {
        private readonly MetaReads _reads = new();

        public long[] CountsOf(Tensor ids, long classes) => _reads.CountsOf(ids, classes);

        public Tensor IndicesOf(Tensor mask) => arange(mask.numel() - 1, dtype: ScalarType.Int64);

        public double[] Numbers(Tensor values) => _reads.Numbers(values);

        public Tensor OnHost(Tensor values) => _reads.OnHost(values);
    }
}
