using static TorchSharp.torch;

namespace DiffusionGemma;

/// <summary>A folder with the adapter in its weights is the model with the adapter beside it.</summary>
public class MergedExportTests : TorchTest
{
    private static readonly LoraOptions Everything =
        new() { Rank = 4, Experts = true, ExpertRank = 2, ExpertAlpha = 8, SelfConditioning = true, RankStabilized = true };

    /// <summary>
    /// float32: six layers of other roundings, W x + s B (A x) against (W + s B A) x; logits are below 30. Measured: 4e-5, where the
    /// adapter moves them by 9.
    /// </summary>
    [Theory]
    [InlineData(ScalarType.Float32, 1e-4)]
    // W + s B A is rounded to the checkpoint's float32
    [InlineData(ScalarType.Float64, 2e-5)]
    public void Logits_agree(ScalarType dtype, double tolerance)
    {
        using TemporaryFolder folder = Fixtures.Temporary();
        using var model = Load("tiny-6layer", dtype);
        using LoraAdapter adapter = Filled(model);
        (Tensor baseHidden, Tensor baseLogits) = new PlainCase("tiny-6layer").Run(model);
        adapter.SaveMerged(model, folder.Path);
        Assert.Empty(model.Changed);
        Assert.Equal(0, Largest(new PlainCase("tiny-6layer").Run(model).Logits, baseLogits));

        model.Adapter = adapter;
        (Tensor hidden, Tensor logits) = new PlainCase("tiny-6layer").Run(model);
        using var merged = Load(folder.Path, dtype);
        (Tensor mergedHidden, Tensor mergedLogits) = new PlainCase("tiny-6layer").Run(merged);
        double difference = Math.Max(Largest(mergedLogits, logits), Largest(mergedHidden, hidden));
        TestContext.Current.TestOutputHelper?.WriteLine(
            $"{dtype}: largest difference {difference:E2}; the adapter moves logits by {Largest(logits, baseLogits):F2}");
        Assert.True(difference <= tolerance, $"{difference}");
        Assert.True(Largest(logits, baseLogits) > 0.1);
    }

    /// <summary>
    /// Each adapted tensor is the sum rounded once to the checkpoint's bfloat16, whatever the model is computed in; each other is as it
    /// was.
    /// </summary>
    [Theory]
    [InlineData(ScalarType.Float32)]
    [InlineData(ScalarType.BFloat16)]
    public void A_bfloat16_checkpoint_is_rounded_once_and_otherwise_the_same(ScalarType dtype)
    {
        using TemporaryFolder folder = Fixtures.Temporary();
        using var model = Load("tiny-bf16-sharded", dtype);
        using LoraAdapter adapter = Filled(model);
        adapter.SaveMerged(model, folder.Path);
        using var source = SafetensorsFile.Open(Fixtures.Checkpoint("tiny-bf16-sharded"));
        using var written = SafetensorsFile.Open(folder.Path);
        Assert.Equal(source.Tensors.Keys.Order(), written.Tensors.Keys.Order());
        var deltas = adapter.Pairs.ToDictionary(p => $"{p.Key}.weight", p => p.Value.Decoder!.FullDelta());
        foreach ((string name, (_, ExpertsLora? stacks)) in adapter.ExpertStacks)
            (deltas[$"{name}.gate_up_proj"], deltas[$"{name}.down_proj"]) = (stacks!.GateUp!.FullDelta(), stacks.Down!.FullDelta());
        foreach (string name in source.Tensors.Keys)
        {
            Tensor before = source.Read(name), after = written.Read(name);
            Assert.Equal(before.dtype, after.dtype);
            bool isAdapted = deltas.TryGetValue(name, out Tensor? delta);
            Assert.Equal(0, Largest(after, isAdapted ? (before.to(ScalarType.Float32) + delta!).to(ScalarType.BFloat16) : before));
        }
        Assert.Equal(
            Directory.EnumerateFiles(Fixtures.Checkpoint("tiny-bf16-sharded")).Select(Path.GetFileName).Order(),
            Directory.EnumerateFiles(folder.Path).Select(Path.GetFileName).Order());
    }

    [Fact]
    public void What_cannot_be_merged_is_refused_before_anything_is_written()
    {
        using var model = Load("tiny-6layer", ScalarType.Float32);
        using var other = Load("tiny-2layer", ScalarType.Float32);
        using var separate = LoraAdapter.Load(Fixtures.Path("adapters", "separate"), model);
        using var shared = LoraAdapter.Load(Fixtures.Path("adapters", "shared"), model);
        using TemporaryFolder folder = Fixtures.Temporary();
        Assert.Contains(
            "different values for encoder and decoder",
            Assert.Throws<InvalidOperationException>(() => separate.SaveMerged(model, folder.File("a"))).Message, StringComparison.Ordinal);
        Assert.Contains(
            "another model", Assert.Throws<ArgumentException>(() => shared.SaveMerged(other, folder.File("a"))).Message,
            StringComparison.Ordinal);
        Assert.Contains(
            "loaded from", Assert.Throws<ArgumentException>(
                () => shared.SaveMerged(model, model.Folder)).Message, StringComparison.Ordinal);
        Assert.Empty(Directory.EnumerateFileSystemEntries(folder.Path));
    }

    /// <summary>Weights that were trained, or merged into, before: the export is of what the model holds.</summary>
    [Fact]
    public void Changed_weights_are_the_base()
    {
        using TemporaryFolder folder = Fixtures.Temporary();
        using var model = Load("tiny-6layer", ScalarType.Float32);
        using LoraAdapter first = LoraAdapter.Load(Fixtures.Path("adapters", "shared"), model), second = Filled(model);
        first.MergeInto(model);
        second.SaveMerged(model, folder.Path);
        second.MergeInto(model);
        using var written = Load(folder.Path, ScalarType.Float32);
        foreach ((string name, Tensor value) in model.Stack.Parameters) Assert.Equal(0, Largest(written.Stack.Parameters[name], value));
    }

    private static DiffusionGemmaModel Load(string checkpoint, ScalarType dtype) =>
        DiffusionGemmaModel.Load(Path.IsPathRooted(checkpoint) ? checkpoint : Fixtures.Checkpoint(checkpoint), TestDevice.Current, dtype);

    private static LoraAdapter Filled(DiffusionGemmaModel model)
    {
        LoraAdapter adapter = LoraAdapter.Create(model, Everything, seed: 1);
        using var generator = new Generator(5);
        foreach ((_, Tensor tensor) in adapter.Parameters()) tensor.normal_(0, 0.05, generator);
        return adapter;
    }
}
