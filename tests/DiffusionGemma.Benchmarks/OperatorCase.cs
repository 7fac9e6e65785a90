using static TorchSharp.torch;
using Door = DiffusionGemma.Kernels;

namespace DiffusionGemma.Benchmarks;

/// <summary>One operator at one size: this library's kernel, and libtorch's form of the same.</summary>
/// <param name="Name">Operator and sizes.</param>
/// <param name="Make">Makes the operands, and returns the two forms over them.</param>
internal sealed record OperatorCase(string Name, Func<(Action Managed, Action LibTorch)> Make)
{
    /// <summary>
    /// Bytes of all copies of an operator's weights, which take turns: in a model every product finds its own outside the core's caches.
    /// </summary>
    private const long WeightBytes = 96 << 20;

    /// <summary>The kernels of the widest registers.</summary>
    private static readonly ManagedKernels Kernels = new(VectorKernels.Supported[0]);

    /// <summary>
    /// At the benchmark's sizes: hidden 512, dense 768, 32 experts of 192, vocabulary 32 768; and at the released shape's.
    /// </summary>
    public static IEnumerable<OperatorCase> All()
    {
        foreach (ScalarType dtype in new[] { ScalarType.Float32, ScalarType.BFloat16 })
        {
            foreach ((long inputs, long outputs) in new[] { (512L, 512L), (512, 768), (768, 512), (512, 16), (16, 512) })
                foreach (long rows in new[] { 64L, 384 })
                    foreach (OperatorCase one in Products(dtype, rows, inputs, outputs)) yield return one;
            foreach (OperatorCase one in Products(dtype, 128, 512, 32_768)) yield return one;
            foreach (long rows in new[] { 8L, 48 })
                foreach ((long inputs, long outputs) in new[] { (512L, 384L), (192, 512) })
                    foreach (OperatorCase one in Grouped(dtype, 32, rows, inputs, outputs)) yield return one;
            foreach ((long inputs, long outputs) in new[] { (2816L, 2112L), (2112, 2816), (2816, 4096), (4096, 2816), (2816, 8192),
                (8192, 2816) })
                foreach (long rows in new[] { 16L, 256 })
                    foreach (OperatorCase one in Products(dtype, rows, inputs, outputs)) yield return one;
            foreach ((long inputs, long outputs) in new[] { (2816L, 1408L), (704, 2816) })
                foreach (OperatorCase one in Grouped(dtype, 8, 16, inputs, outputs)) yield return one;
        }
        foreach (Quantization form in new[] { Quantization.Int8, Quantization.Int4 })
            foreach ((long inputs, long outputs) in new[] { (2816L, 2112L), (2112, 2816), (2816, 8192), (2816, 32_768) })
                foreach (long rows in new[] { 16L, 128, 256, 512 })
                    foreach (OperatorCase one in Stored(form, rows, inputs, outputs)) yield return one;
        foreach ((long rows, long width) in new[] { (384L, 512L), (256, 2816) })
            foreach (OperatorCase one in Norms(rows, width)) yield return one;
        foreach ((long rows, long width) in new[] { (384L, 768L), (256, 2112) })
            foreach (OperatorCase one in Gates(rows, width)) yield return one;
        foreach ((long heads, long length, long width) in new[] { (8L, 384L, 64L), (16, 256, 256) })
            yield return Rotation(heads, length, width);
        foreach ((long rows, long vocabulary) in new[] { (64L, 32_768L), (16, 262_144) })
            foreach (OperatorCase one in Vocabulary(rows, vocabulary)) yield return one;
    }

    private static IEnumerable<OperatorCase> Products(ScalarType dtype, long rows, long inputs, long outputs)
    {
        string size = $"{dtype.ToString().ToLowerInvariant()}.{rows}x{inputs}x{outputs}";
        bool narrow = dtype == ScalarType.BFloat16;
        yield return new OperatorCase($"linear.{size}", () =>
        {
            Tensor x = Numbers(dtype, rows, inputs);
            Func<Tensor> w = Weights(dtype, outputs, inputs);
            return (
                () =>
                {
                    if (narrow) Door.Linear(x, new BFloat16Rows(w()), outputs);
                    else Check(Kernels.TryLinear(x, w(), [rows], empty(rows, outputs)));
                },
                () => nn.functional.linear(x, w()));
        });
        if (inputs < 32) yield break;                                                            // columns that no tile divides
        yield return new OperatorCase($"matmul.{size}", () =>
        {
            Tensor dy = Numbers(dtype, rows, outputs);
            Func<Tensor> w = Weights(dtype, outputs, inputs);
            return (
                () =>
                {
                    if (narrow) Door.MatMul(dy, new BFloat16Rows(w()));
                    else Check(Kernels.TryMatMul(dy, w(), [rows], empty(rows, inputs)));
                },
                () => dy.mm(w()));
        });
        yield return new OperatorCase($"outer.{size}", () =>
        {
            Tensor dy = Numbers(dtype, rows, outputs), x = Numbers(dtype, rows, inputs);
            Func<Tensor> buffer = Weights(ScalarType.Float32, outputs, inputs);
            return (
                () => Check(Kernels.TryAddOuter(dy.to(ScalarType.Float32), x.to(ScalarType.Float32), buffer())),
                () => LibTorchKernels.AddOuter(buffer(), dy, x));
        });
    }

    /// <summary>Products with rounded weights: both forms widen a block at a time.</summary>
    private static IEnumerable<OperatorCase> Stored(Quantization form, long rows, long inputs, long outputs)
    {
        string size = $"{form.ToString().ToLowerInvariant()}.{rows}x{inputs}x{outputs}";
        long[] counts = [rows];
        QuantizedWeightRows Rounded() => new(StoredWeight.Quantized(Quantizer.Round(
            form, outputs, inputs, (_, count) => Numbers(ScalarType.Float32, count, inputs))));
        yield return new OperatorCase($"stored_linear.{size}", () =>
        {
            Tensor x = Numbers(ScalarType.Float32, rows, inputs), y = empty(rows, outputs);
            QuantizedWeightRows w = Rounded();
            return (() => Check(Kernels.TryLinear(x, w, outputs, counts, y)), () => LibTorchKernels.GroupedLinearInto(x, w, counts, y));
        });
        yield return new OperatorCase($"stored_matmul.{size}", () =>
        {
            Tensor dy = Numbers(ScalarType.Float32, rows, outputs), y = empty(rows, inputs);
            QuantizedWeightRows w = Rounded();
            return (() => Check(Kernels.TryMatMul(dy, w, counts, y)), () => LibTorchKernels.GroupedMatMulInto(dy, w, counts, y));
        });
    }

    private static IEnumerable<OperatorCase> Grouped(ScalarType dtype, int experts, long rows, long inputs, long outputs)
    {
        string size = $"{dtype.ToString().ToLowerInvariant()}.{experts}x{rows}x{inputs}x{outputs}";
        bool narrow = dtype == ScalarType.BFloat16;
        long[] counts = [.. Enumerable.Range(0, experts).Select(e => rows + (e % 2 == 0 ? 1 : -1))];
        long all = counts.Sum();
        yield return new OperatorCase($"grouped_linear.{size}", () =>
        {
            Tensor x = Numbers(dtype, all, inputs), y = empty(all, outputs, dtype: dtype);
            Func<Tensor> w = Weights(dtype, experts, outputs, inputs);
            return (
                () =>
                {
                    if (narrow) Door.GroupedLinear(x, new BFloat16Rows(w()), outputs, counts);
                    else Check(Kernels.TryLinear(x, w(), counts, empty(all, outputs)));
                },
                () => LibTorchKernels.GroupedLinearInto(x, w(), counts, y));
        });
        yield return new OperatorCase($"grouped_matmul.{size}", () =>
        {
            Tensor dy = Numbers(dtype, all, outputs), y = empty(all, inputs, dtype: dtype);
            Func<Tensor> w = Weights(dtype, experts, outputs, inputs);
            return (
                () =>
                {
                    if (narrow) Door.GroupedMatMul(dy, new BFloat16Rows(w()), counts);
                    else Check(Kernels.TryMatMul(dy, w(), counts, empty(all, inputs)));
                },
                () => LibTorchKernels.GroupedMatMulInto(dy, w(), counts, y));
        });
        yield return new OperatorCase($"grouped_outer.{size}", () =>
        {
            Tensor dy = Numbers(dtype, all, outputs), x = Numbers(dtype, all, inputs);
            Func<Tensor> buffers = Weights(ScalarType.Float32, experts, outputs, inputs);
            void Each(Action<Tensor, Tensor, Tensor> one)
            {
                foreach (((Tensor d, Tensor part), Tensor buffer) in dy.split(counts, 0).Zip(x.split(counts, 0)).Zip(buffers().unbind(0)))
                    one(buffer, d, part);
            }
            return (
                () => Each((buffer, d, part) => Check(Kernels.TryAddOuter(d.to(ScalarType.Float32), part.to(ScalarType.Float32), buffer))),
                () => Each(LibTorchKernels.AddOuter));
        });
    }

    private static IEnumerable<OperatorCase> Norms(long rows, long width)
    {
        (Tensor X, Tensor G, Tensor W, Tensor Dw) Operands() => (Numbers(rows, width), Numbers(rows, width), Numbers(width), zeros(width));
        yield return new OperatorCase($"rms_norm.{rows}x{width}", () =>
        {
            var (x, _, w, _) = Operands();
            return (() => Kernels.TryRmsNorm(x, w, 1e-6), () => TorchOperators.RmsNorm(x, w, 1e-6));
        });
        yield return new OperatorCase($"rms_norm_backward.{rows}x{width}", () =>
        {
            var (x, g, w, dw) = Operands();
            return (() => Kernels.TryRmsNormBackward(x, g, w, 1e-6, dw), () => LibTorchKernels.RmsNormBackward(x, g, w, 1e-6, dw));
        });
    }

    private static IEnumerable<OperatorCase> Gates(long rows, long width)
    {
        yield return new OperatorCase($"gated_gelu.{rows}x{width}", () =>
        {
            Tensor gate = Numbers(rows, width), up = Numbers(rows, width);
            return (() => Kernels.TryGatedGelu(gate, up, null), () => TorchOperators.GeluTanh(gate).mul_(up));
        });
        yield return new OperatorCase($"gated_gelu_backward.{rows}x{width}", () =>
        {
            Tensor dy = Numbers(rows, width), gate = Numbers(rows, width), up = Numbers(rows, width), w = rand(rows, 1);
            Tensor dGate = empty_like(gate), dUp = empty_like(up), dw = empty_like(w);
            return (
                () => Check(Kernels.TryGatedGeluBackward(dy, gate, up, w, dGate, dUp, dw)),
                () => LibTorchKernels.GatedGeluBackward(dy.clone(), gate, up, w, dGate, dUp));
        });
    }

    private static OperatorCase Rotation(long heads, long length, long width) => new($"rotate.{heads}x{length}x{width}", () =>
    {
        Tensor x = Numbers(1, length, heads, width).transpose(1, 2), angles = Numbers(1, 1, length, width), cos = angles.cos(),
        sin = angles.sin();
        return (() => Kernels.TryRotate(x, cos, sin, transposed: false), () => LibTorchKernels.Rotate(x, cos, sin));
    });

    private static IEnumerable<OperatorCase> Vocabulary(long rows, long vocabulary)
    {
        yield return new OperatorCase($"capped_cross_entropy.{rows}x{vocabulary}", () =>
        {
            Tensor z = Numbers(rows, vocabulary), targets = randint(0, vocabulary, [rows, 1]);
            void LibTorch()
            {
                long few = LibTorchKernels.RowsInCache(z);
                foreach ((Tensor part, Tensor of) in z.split(few).Zip(targets.split(few)))
                    LibTorchKernels.CappedCrossEntropy(part, part, of, 30, withGradient: true);
            }
            return (() => Kernels.TryCappedCrossEntropy(z, targets, 30, withGradient: true), LibTorch);
        });
        yield return new OperatorCase($"capped_softmax.{rows}x{vocabulary}", () =>
        {
            Tensor x = Numbers(rows, vocabulary);
            double[] temperatures = [.. Enumerable.Repeat(0.8, (int)rows)], totals = new double[rows], entropies = new double[rows];
            return (
                () => Check(Kernels.TryCappedSoftmax(x, temperatures, totals, entropies, new int[rows])),
                () => LibTorchKernels.CappedSoftmax(x, 30, temperatures, ScalarType.Float32, 1 << 19));
        });
    }

    private static void Check(bool done)
    {
        if (!done) throw new InvalidOperationException("No kernel fits this size.");
    }

    /// <summary>Weights of a shape, another copy at each call.</summary>
    private static Func<Tensor> Weights(ScalarType dtype, params long[] shape)
    {
        long bytes = shape.Aggregate(1L, (a, b) => a * b) * (dtype == ScalarType.BFloat16 ? 2 : 4),
        copies = Math.Clamp(WeightBytes / bytes, 1, 256);
        Tensor first = Numbers(dtype, shape);
        Tensor[] all = [first, .. Enumerable.Range(1, (int)copies).Select(_ => first.clone())];
        int next = 0;
        return () => all[next++ % all.Length];
    }

    private static Tensor Numbers(params long[] shape) => randn(shape) * 0.5;

    private static Tensor Numbers(ScalarType dtype, params long[] shape) => Numbers(shape).to(dtype);
}
