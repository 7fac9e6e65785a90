using TorchSharp;
using static TorchSharp.torch;

namespace DiffusionGemma;

/// <summary>The forms of <see cref="Kernels"/>' operators that are made of several libtorch operators.</summary>
internal static partial class LibTorchKernels
{
    /// <summary>Columns of one product on a CPU: a third faster than one product over a whole vocabulary.</summary>
    private const int ProductColumns = 1024;

    /// <summary>Numbers of a product that is rounded to a narrower dtype before it is added: small enough to stay in a cache.</summary>
    private const long BlockElements = 1 << 20;

    /// <summary>Numbers that a CPU takes through several operators in turn: they stay in a core's own cache.</summary>
    private const long CacheElements = 1 << 17;

    /// <summary>Rows that several operators in turn should be given at once.</summary>
    public static long RowsInCache(Tensor rows) =>
        rows.device_type == DeviceType.CPU ? Math.Max(1, CacheElements / rows.shape[1]) : Math.Max(1, rows.shape[0]);

    public static void LinearInto(Tensor x, Tensor weight, Tensor y)
    {
        long outputs = weight.shape[0], columns = x.device_type == DeviceType.CPU ? ProductColumns : outputs;
        for (long start = 0; start < outputs; start += columns)
        {
            using var scope = NewDisposeScope();
            long width = Math.Min(columns, outputs - start);
            TorchOperators.MatrixProductInto(x, weight.narrow(0, start, width).t(), y.narrow(1, start, width));
        }
    }

    public static void AddOuter(Tensor buffer, Tensor dy, Tensor x)
    {
        using Tensor transposed = dy.t();
        if (buffer.dtype == dy.dtype)
        {
            buffer.addmm_(transposed, x, beta: 1, alpha: 1);
            return;
        }
        long rows = Math.Max(1, BlockElements / buffer.shape[1]);
        for (long start = 0; start < buffer.shape[0]; start += rows)
        {
            using var scope = NewDisposeScope();
            long count = Math.Min(rows, buffer.shape[0] - start);
            buffer.narrow(0, start, count).add_(transposed.narrow(0, start, count).mm(x));
        }
    }

    /// <summary>One product a slice, written where it belongs: on a CPU as fast as <c>_grouped_mm</c>, which does the same.</summary>
    public static void GroupedLinearInto(Tensor x, Tensor weights, long[] counts, Tensor y)
    {
        using Tensor transposed = weights.transpose(1, 2);
        GroupedMatMulInto(x, transposed, counts, y);
    }

    public static void GroupedMatMulInto(Tensor a, Tensor b, long[] counts, Tensor y) => GroupedProducts(a, b, counts, y, beta: 0);

    public static void GroupedAddMatMul(Tensor y, Tensor a, Tensor b, long[] counts) => GroupedProducts(a, b, counts, y, beta: 1);

    private static void GroupedProducts(Tensor a, Tensor b, long[] counts, Tensor y, float beta)
    {
        using var scope = NewDisposeScope();
        Tensor[] rows = a.split(counts, 0), results = y.split(counts, 0), matrices = b.unbind(0);
        for (int e = 0; e < counts.Length; e++)
            if (counts[e] > 0) results[e].addmm_(rows[e], matrices[e], beta: beta, alpha: 1);
    }

    public static Tensor RmsNormBackward(Tensor x, Tensor gradient, Tensor? weight, double epsilon, Tensor? buffer)
    {
        using var scope = NewDisposeScope();
        ScalarType dtype = gradient.dtype == ScalarType.Float64 ? ScalarType.Float64 : ScalarType.Float32;
        Tensor wide = x.to(dtype), g = gradient.to(dtype);
        Tensor r = linalg.vector_norm(wide, 2, [-1], keepdim: true).pow_(2).div_(x.shape[^1]).add_(epsilon).rsqrt_();
        Tensor weighted = weight is null ? g : g * weight.to(dtype);
        Tensor mean = (weighted * wide).mean([-1], keepdim: true);
        buffer?.add_((g * wide).reshape(-1, x.shape[^1]).t().mv(r.flatten()));
        return (weighted * r).addcmul_(wide, mean.mul_(r.pow(3)), -1).to(x.dtype).MoveToOuterDisposeScope();
    }

    public static Tensor GatedGeluBackward(Tensor dy, Tensor gate, Tensor up, Tensor weights, Tensor dGate, Tensor dUp)
    {
        using var scope = NewDisposeScope();
        Tensor gelu = TorchOperators.GeluTanh(gate), dWeights = (dy.to(weights.dtype) * (gelu * up)).sum(-1, keepdim: true);
        dy.mul_(weights);
        dGate.copy_(TorchOperators.GeluTanhBackward(dy * up, gate));
        dUp.copy_(dy.mul_(gelu));
        return dWeights.MoveToOuterDisposeScope();
    }

    public static Tensor Rotate(Tensor x, Tensor cos, Tensor sin)
    {
        using var scope = NewDisposeScope();
        Tensor[] halves = x.chunk(2, -1);
        return (x * cos + cat([-halves[1], halves[0]], -1) * sin).MoveToOuterDisposeScope();
    }

    public static Tensor RotateBackward(Tensor dy, Tensor cos, Tensor sin)
    {
        using var scope = NewDisposeScope();
        Tensor[] halves = (dy * sin).chunk(2, -1);
        return (dy * cos).add_(cat([halves[1], -halves[0]], -1)).MoveToOuterDisposeScope();
    }

    /// <param name="z">[N,V], any dtype; overwritten with dz where it is wanted.</param>
    /// <param name="wide">z in at least float32, which may be z itself; overwritten.</param>
    /// <param name="targets">[N,1].</param>
    /// <param name="cap">The soft-cap.</param>
    /// <param name="withGradient">Whether dz is wanted.</param>
    public static Tensor CappedCrossEntropy(Tensor z, Tensor wide, Tensor targets, double cap, bool withGradient)
    {
        using var scope = NewDisposeScope();
        Tensor bounded = wide.div_(cap).tanh_();                                               // s / c
        Tensor capped = bounded * cap, largest = capped.amax(-1), ofTarget = capped.gather(1, targets).squeeze(-1);
        TorchOperators.SoftmaxInPlace(capped);
        // The largest probability is 1 / Σ exp(s - s_max), at least 1 / V: its logarithm loses nothing.
        Tensor sum = (largest - capped.amax(-1).log() - ofTarget).sum();
        if (withGradient)
        {
            capped.scatter_add_(1, targets, full_like(targets, -1, capped.dtype));
            TorchOperators.TanhBackwardInPlace(capped, bounded);
            z.copy_(capped);
        }
        return sum.MoveToOuterDisposeScope();
    }

    public static SoftmaxRows CappedSoftmax(
        Tensor x, double cap, double[] temperatures, ScalarType dtype, long sliceElements, IHostReads? reads = null)
    {
        using var outer = NewDisposeScope();
        Tensor inverse = HostCopy.Send(tensor(Array.ConvertAll(temperatures, t => 1 / t), x.dtype, CPU), x.device).unsqueeze(-1);
        long slice = x.device_type == DeviceType.CPU ? sliceElements : x.numel();
        (Tensor totals, Tensor? rounded, Tensor entropies, Tensor best) = CappedSoftmax(x, cap, inverse, dtype, slice);
        Tensor host = cat([totals.to(ScalarType.Float64), entropies.to(ScalarType.Float64), best.to(ScalarType.Float64)], 1);
        double[] numbers = (reads ?? IHostReads.For(x.device)).Numbers(host.t());
        int n = (int)x.shape[0];
        return new SoftmaxRows(
            totals.MoveToOuterDisposeScope(), rounded?.MoveToOuterDisposeScope(),
            numbers[..n], numbers[n..(2 * n)], Array.ConvertAll(numbers[(2 * n)..], v => (int)v));
    }

    /// <summary>As <see cref="Kernels.CappedSoftmax"/>, with all results left on the device.</summary>
    /// <param name="x">[N,V], 2 / cap times the logits, at least float32; overwritten with w.</param>
    /// <param name="cap">The soft-cap.</param>
    /// <param name="inverse">1 / T of each row [N,1], in the dtype of <paramref name="x"/>.</param>
    /// <param name="dtype">The model's: probabilities of a narrower one are rounded as its own softmax would.</param>
    /// <param name="sliceElements">Numbers that are taken at a time.</param>
    public static DeviceSoftmaxRows CappedSoftmax(Tensor x, double cap, Tensor inverse, ScalarType dtype, long sliceElements)
    {
        bool rounds = dtype != x.dtype;
        long positions = x.shape[0], slice = Math.Max(1, sliceElements / x.shape[1]);
        using var outer = NewDisposeScope();
        List<Tensor> best = [], totals = [], entropies = [], rounded = [];
        for (long start = 0; start < positions; start += slice)
        {
            using var scope = NewDisposeScope();
            long count = Math.Min(slice, positions - start);
            Tensor scale = inverse.narrow(0, start, count), s = x.narrow(0, start, count).sigmoid_().mul_(scale * (2 * cap));
            if (rounds) rounded.Add((s - scale * cap).to(dtype).to(x.dtype).softmax(-1).to(dtype).MoveToOuterDisposeScope());
            (Tensor top, Tensor index) = s.max(-1, keepdim: true);
            Tensor weights = s.sub_(top).exp(), total = weights.sum(-1, keepdim: true);
            entropies.Add((total.log() - (weights * s).sum(-1, keepdim: true) / total).MoveToOuterDisposeScope());
            totals.Add(total.MoveToOuterDisposeScope());
            best.Add(index.MoveToOuterDisposeScope());
            s.copy_(weights);
        }
        return new DeviceSoftmaxRows(
            cat(totals, 0).MoveToOuterDisposeScope(), rounds ? cat(rounded, 0).MoveToOuterDisposeScope() : null,
            cat(entropies, 0).MoveToOuterDisposeScope(), cat(best, 0).MoveToOuterDisposeScope());
    }
}
