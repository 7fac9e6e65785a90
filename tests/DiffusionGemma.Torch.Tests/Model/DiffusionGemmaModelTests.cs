using TorchSharp;
using static TorchSharp.torch;

namespace DiffusionGemma;

/// <summary>
/// Properties between passes that hold for any weights: in float64, where rounding leaves 1e-12. tiny-6layer: its window of 8 is
/// shorter than the rows.
/// </summary>
public class DiffusionGemmaModelTests : TorchTest
{
    private const double Rounding = 1e-12;
    private readonly DiffusionGemmaModel _model =
        DiffusionGemmaModel.Load(Fixtures.Checkpoint("tiny-6layer"), TestDevice.Current, ScalarType.Float64);
    private readonly Generator _generator = new(5);

    [Theory]
    [InlineData(1)]
    [InlineData(7)]
    [InlineData(19)]
    public void Encoding_in_pieces_is_encoding_at_once(int first)
    {
        Tensor ids = Ids(2, 20), canvas = Ids(2, 16), mask = ones(2, 20, dtype: ScalarType.Bool);
        mask[0, TensorIndex.Slice(0, 3)] = tensor(false);                                       // one row padded on the left
        using EncoderCache whole = _model.Encode(ids, mask), pieces = _model.Encode(ids.narrow(1, 0, first), mask.narrow(1, 0, first));
        Assert.Same(pieces, _model.Encode(ids.narrow(1, first, 20 - first), mask.narrow(1, first, 20 - first), pieces));
        Assert.Equal(20, pieces.Length);
        Tensor newest = whole.LastHiddenState.narrow(1, first, 20 - first);
        Assert.True(Largest(pieces.LastHiddenState, newest, mask.narrow(1, first, 20 - first)) <= Rounding);
        Assert.True(Largest(_model.Decode(canvas, pieces), _model.Decode(canvas, whole)) <= Rounding);
    }

    [Theory]
    [InlineData(4, 0)]
    [InlineData(0, 4)]
    [InlineData(3, 5)]
    public void A_padded_row_is_the_row(int left, int right)
    {
        Tensor ids = Ids(1, 13), canvas = Ids(1, 16), sc = Random(1, 16, 320);
        using EncoderCache alone = _model.Encode(ids);
        Tensor padded = cat([zeros(1, left, dtype: ScalarType.Int64), ids, zeros(1, right, dtype: ScalarType.Int64)], 1);
        Tensor mask = tensor(Enumerable.Range(0, left + 13 + right).Select(i => i >= left && i < left + 13).ToArray()).unsqueeze(0);
        Tensor other = Ids(1, left + 13 + right);
        using EncoderCache batch = _model.Encode(cat([padded, other], 0), cat([mask, ones_like(mask)], 0));
        Assert.True(Largest(batch.LastHiddenState[0].narrow(0, left, 13), alone.LastHiddenState[0]) <= Rounding);
        Tensor expected = _model.Decode(canvas, alone, sc);
        Tensor got = _model.Decode(cat([canvas, Ids(1, 16)], 0), batch, cat([sc, Random(1, 16, 320)], 0));
        Assert.True(Largest(got[0], expected[0]) <= Rounding);

        // And what is appended goes on from the row's own last position.
        Tensor next = Ids(2, 16);
        _model.Encode(next[TensorIndex.Slice(0, 1)], past: alone);
        _model.Encode(next, past: batch);
        Assert.True(Largest(batch.LastHiddenState[0], alone.LastHiddenState[0]) <= Rounding);
    }

    /// <summary>With a last layer whose experts are not numbers, what passes through one is not a number, and padding still is.</summary>
    [Fact]
    public void Padding_is_routed_to_no_expert()
    {
        Tensor ids = cat([zeros(1, 4, dtype: ScalarType.Int64), Ids(1, 5), zeros(1, 3, dtype: ScalarType.Int64)], 1);
        Tensor mask = tensor(Enumerable.Range(0, 12).Select(i => i is >= 4 and < 9).ToArray()).unsqueeze(0);
        Experts last = _model.Stack.Layers[^1].Experts;
        last.GateUp.Tensor!.fill_(double.NaN);
        using EncoderCache cache = _model.Encode(ids, mask);
        Assert.Equal(0, Largest(cache.LastHiddenState.isfinite().all(-1), mask.logical_not()));
        Tensor canvasMask = tensor(Enumerable.Range(0, 16).Select(i => i < 11).ToArray()).unsqueeze(0);
        Tensor decoded = _model.Decode(
            Ids(1, 16), cache, null, null, null, canvasMask, new PassContext(Pass.Decoder), canvasMask.flatten().nonzero().flatten());
        Assert.Equal(0, Largest(decoded.isfinite().all(-1), canvasMask.logical_not()));
    }

    [Fact]
    public void A_start_inside_the_cache_sees_only_what_is_before_it()
    {
        Tensor ids = Ids(2, 24), canvas = Ids(2, 16);
        using EncoderCache whole = _model.Encode(ids);
        Tensor got = _model.Decode(canvas, whole, starts: tensor(new long[] { 9, 17 }));
        foreach ((int row, int start) in new[] { (0, 9), (1, 17) })
        {
            using EncoderCache cut = _model.Encode(ids.narrow(0, row, 1).narrow(1, 0, start));
            Assert.True(Largest(got[row], _model.Decode(canvas.narrow(0, row, 1), cut)[0]) <= Rounding);
        }
        Assert.Equal(0, Largest(_model.Decode(canvas, whole, starts: tensor(new long[] { 24, 24 })), _model.Decode(canvas, whole)));
    }

    [Fact]
    public void A_decoder_pass_leaves_the_cache_alone()
    {
        using EncoderCache cache = _model.Encode(Ids(1, 12));
        Tensor canvas = Ids(1, 16), first = _model.Decode(canvas, cache);
        Tensor keys = cache.Layers[0].Keys.clone();
        _model.Decode(Ids(1, 16), cache, Random(1, 16, 320));
        Assert.Equal(0, Largest(cache.Layers[0].Keys, keys));
        Assert.Equal(12, cache.Length);
        Assert.Equal(0, Largest(_model.Decode(canvas, cache), first));
    }

    [Fact]
    public void A_row_that_is_not_conditioned_is_a_row_without_logits()
    {
        using EncoderCache cache = _model.Encode(Ids(2, 12));
        Tensor canvas = Ids(2, 16), sc = Random(2, 16, 320);
        Tensor without = _model.Decode(canvas, cache), with = _model.Decode(canvas, cache, sc);
        Tensor one = _model.Decode(canvas, cache, sc, tensor(new[] { true, false }));
        Assert.True(Largest(one[0], with[0]) <= Rounding);
        Assert.True(Largest(one[1], without[1]) <= Rounding);
        Assert.True(Largest(with, without) > 0.01);
    }

    [Fact]
    public void Arguments_that_do_not_fit_are_named()
    {
        using EncoderCache cache = _model.Encode(Ids(2, 12));
        void Refused(string parameter, string message, Action pass)
        {
            var error = Assert.Throws<ArgumentException>(pass);
            Assert.Equal(parameter, error.ParamName);
            Assert.Contains(message, error.Message, StringComparison.Ordinal);
        }
        Refused("inputIds", "expected [rows, tokens]", () => _model.Encode(Ids(1, 12)[0]));
        Refused("inputIds", "at least one token", () => _model.Encode(zeros(2, 0, dtype: ScalarType.Int64)));
        Refused("attentionMask", "[2,11]", () => _model.Encode(Ids(2, 12), ones(2, 11, dtype: ScalarType.Bool)));
        Refused("past", "holds 2 rows, inputIds 3", () => _model.Encode(Ids(3, 4), past: cache));
        Refused("canvasIds", "expected [rows, tokens]", () => _model.Decode(Ids(1, 16)[0], cache));
        Refused("cache", "holds 2 rows, canvasIds 1", () => _model.Decode(Ids(1, 16), cache));
        Refused("selfConditioningLogits", "[2,16,319], expected [2,16,320]", () => _model.Decode(Ids(2, 16), cache, Random(2, 16, 319)));
        Refused(
            "selfConditioningMask", "[3], expected [2]",
            () => _model.Decode(Ids(2, 16), cache, Random(2, 16, 320), ones(3, dtype: ScalarType.Bool)));
        Refused("starts", "[3], expected [2]", () => _model.Decode(Ids(2, 16), cache, starts: zeros(3, dtype: ScalarType.Int64)));
        Refused("inputIds", "is Float32", () => _model.Encode(ones(2, 4)));
        Refused("canvasIds", "is Float32", () => _model.Decode(ones(2, 16), cache));
        Refused("dtype", "Float16", () =>
            DiffusionGemmaModel.Load(Fixtures.Checkpoint("tiny-2layer"), TestDevice.Current, ScalarType.Float16));
        _model.Decode(Ids(2, 16), cache);                                                       // nothing of this hurt the cache
    }

    /// <summary>
    /// Two layers in bfloat16 (8 bits) beside float32: logits lie within ±30, and differ by 0.1 at most where experts are the same.
    /// </summary>
    [Theory]
    [InlineData("tiny-2layer")]
    public void Bfloat16_stays_near_float32(string name)
    {
        using var narrow = DiffusionGemmaModel.Load(Fixtures.Checkpoint(name), TestDevice.Current, ScalarType.BFloat16);
        using var wide = DiffusionGemmaModel.Load(Fixtures.Checkpoint(name), TestDevice.Current, ScalarType.Float32);
        Assert.Equal(ScalarType.BFloat16, narrow.DType);
        (Tensor hidden, Tensor logits) = new PlainCase(name).Run(narrow);
        (Tensor expectedHidden, Tensor expected) = new PlainCase(name).Run(wide);
        Assert.Equal((ScalarType.BFloat16, ScalarType.Float32), (hidden.dtype, logits.dtype));
        Assert.True(logits.isfinite().all().item<bool>());
        double mean = (logits - expected).abs().mean().item<float>(), spread = expected.std().item<float>();
        Assert.True(mean <= 0.05 * spread, $"{mean:g3} of {spread:g3}");
        Assert.True((hidden.to(ScalarType.Float32) - expectedHidden).abs().mean().item<float>() <= 0.05);
    }

    [Fact]
    public void A_checkpoint_loads_in_its_own_dtype()
    {
        using var model = DiffusionGemmaModel.Load(Fixtures.Checkpoint("tiny-bf16-sharded"));
        Assert.Equal(ScalarType.BFloat16, model.DType);
        Assert.Equal(DeviceType.CPU, model.Device.type);
        Assert.Equal(Fixtures.Checkpoint("tiny-bf16-sharded"), model.Folder);
    }

    public override void Dispose()
    {
        _model.Dispose();
        _generator.Dispose();
        base.Dispose();
    }

    private Tensor Ids(long rows, long length) => randint(2, 320, [rows, length], generator: _generator);

    private Tensor Random(params long[] shape) => rand(shape, ScalarType.Float64, generator: _generator) * 8 - 4;
}
