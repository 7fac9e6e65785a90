using TorchSharp;
using static TorchSharp.torch;

namespace DiffusionGemma;

/// <summary>
/// ATen operators that TorchSharp has no method for, each called through a one-line TorchScript function: gradients pass through, errors
/// become exceptions, and a call costs a few microseconds. Compiled once a process.
/// </summary>
internal static class TorchOperators
{
    // One operator a function: a TorchScript compile error would end the process, so nothing here is ever built from input.
    private const string Source = """
        def attention(q, k, v, mask: Optional[Tensor], scale: float):
            return torch.scaled_dot_product_attention(q, k, v, mask, 0.0, False, scale=scale, enable_gqa=True)

        def attention_kernel(q, k, v, mask: Optional[Tensor], scale: float):
            return torch._fused_sdp_choice(q, k, v, mask, 0.0, False, scale=scale, enable_gqa=True)

        def rms_norm(x, weight: Optional[Tensor], eps: float):
            return torch.rms_norm(x, [x.size(-1)], weight, eps)

        def embedding(weight, ids, padding_id: int):
            return torch.embedding(weight, ids, padding_id, False, False)

        def sum_of_rows(rows, ids, offsets):
            sums, a, b, c = torch.embedding_bag(rows, ids, offsets, False, 0, False, None, False)
            return sums

        def gelu_tanh_backward(gradient, x):
            return torch.gelu_backward(gradient, x, approximate="tanh")

        def tanh_backward_(gradient, y):
            return torch.tanh_backward(gradient, y, grad_input=gradient)

        def softmax_(x):
            return torch._softmax(x, -1, False, out=x)

        def mm_into(a, b, result):
            return torch.mm(a, b, out=result)

        def pinned(x):
            return x.pin_memory()

        def grouped_mm(a, b, ends):
            return torch._grouped_mm(a, b, ends)

        def fused_adamw(p: List[Tensor], g: List[Tensor], m: List[Tensor], v: List[Tensor], step: List[Tensor],
                        lr: float, beta1: float, beta2: float, weight_decay: float, eps: float, divisor: Optional[Tensor]):
            unused: List[Tensor] = []
            torch._fused_adamw_(p, g, m, v, unused, step, lr=lr, beta1=beta1, beta2=beta2, weight_decay=weight_decay, eps=eps,
                                amsgrad=False, maximize=False, grad_scale=divisor)

        """;

    private static readonly Lazy<jit.CompilationUnit> Unit = new(() => jit.compile(Source));

    /// <summary>
    /// Calls a function of <see cref="Source"/>. TorchSharp converts a number to a Scalar that nothing roots during the native call, so
    /// that a collection may free it in use; here every Scalar is rooted by the arguments, and disposed after the call.
    /// </summary>
    private static object Invoke(string function, params object?[] arguments)
    {
        object?[] rooted = Array.ConvertAll(arguments, argument => argument switch
        {
            double number => number.ToScalar(),
            long number => number.ToScalar(),
            _ => argument,
        });
        object result = Unit.Value.invoke(function, rooted!);
        foreach (Scalar number in rooted.OfType<Scalar>()) number.Dispose();
        return result;
    }

    /// <summary>
    /// softmax(q kᵀ · scale + mask) v, heads on dimension 1; key-value heads may be fewer than query heads (each serves a run of them).
    /// </summary>
    /// <param name="q">[B,h,Q,D].</param>
    /// <param name="k">[B,kv,K,D].</param>
    /// <param name="v">[B,kv,K,D].</param>
    /// <param name="mask">bool, broadcastable to [B,h,Q,K]; true = may be seen. Every query must see something.</param>
    /// <param name="scale">Factor of the scores.</param>
    public static Tensor Attention(Tensor q, Tensor k, Tensor v, Tensor? mask, double scale) =>
        MetaForms.Serve(q) ? MetaForms.Attention(q, k, v, mask, scale) : (Tensor)Invoke("attention", q, k, v, mask, scale);

    /// <summary>Returns libtorch's number of the kernel that <see cref="Attention"/> of these arguments runs in.</summary>
    public static long AttentionKernel(Tensor q, Tensor k, Tensor v, Tensor? mask, double scale)
    {
        using var number = (Scalar)Invoke("attention_kernel", q, k, v, mask, scale);
        return number.ToInt64();
    }

    /// <summary>x · (mean(x², -1) + eps)^-½ · weight, computed in at least float32 and rounded once to x's dtype.</summary>
    public static Tensor RmsNorm(Tensor x, Tensor? weight, double eps) => (Tensor)Invoke("rms_norm", x, weight, eps);

    /// <summary>Looks up rows of a table; look-ups of <paramref name="paddingId"/> give the table no gradient.</summary>
    public static Tensor Embedding(Tensor weight, Tensor ids, long paddingId) => (Tensor)Invoke("embedding", weight, ids, paddingId);

    /// <summary>Copies rows: [N,...] and places [n] int64 -> [n,...].</summary>
    public static Tensor SelectRows(Tensor rows, Tensor places) =>
        MetaForms.Serve(rows) ? MetaForms.SelectRows(rows, places) : rows.index_select(0, places);

    /// <summary>
    /// Sums the rows at each run of <paramref name="count"/> places: [N,H] and [T·count] -> [T,H], summed in at least float32.
    /// </summary>
    public static Tensor SumOfRows(Tensor rows, Tensor places, long count)
    {
        if (MetaForms.Serve(rows)) return MetaForms.SumOfRows(rows, places, count);
        using Tensor offsets = arange(0, places.shape[0], count, dtype: ScalarType.Int64, device: places.device);
        return (Tensor)Invoke("sum_of_rows", rows, places, offsets);
    }

    /// <summary>½ x (1 + tanh(√(2/π) (x + 0.044715 x³))).</summary>
    public static Tensor GeluTanh(Tensor x) => nn.functional.gelu(x, TorchSharp.Modules.GELU.Approximate.tanh);

    /// <summary>gradient · gelu_tanh'(x).</summary>
    public static Tensor GeluTanhBackward(Tensor gradient, Tensor x) => (Tensor)Invoke("gelu_tanh_backward", gradient, x);

    /// <summary>gradient · (1 - y²), in place of the gradient, for y = tanh(x).</summary>
    public static void TanhBackwardInPlace(Tensor gradient, Tensor y) => ((Tensor)Invoke("tanh_backward_", gradient, y)).Dispose();

    /// <summary>softmax over the last dimension, in place.</summary>
    public static void SoftmaxInPlace(Tensor x) => ((Tensor)Invoke("softmax_", x)).Dispose();

    /// <summary>Computes a b into the memory of <paramref name="result"/>; a view's strides are honoured.</summary>
    public static void MatrixProductInto(Tensor a, Tensor b, Tensor result)
    {
        using Tensor same = (Tensor)Invoke("mm_into", a, b, result);
    }

    /// <summary>Copies a tensor of the CPU to pinned memory, from which a copy to a GPU does not wait.</summary>
    public static Tensor Pinned(Tensor x) => (Tensor)Invoke("pinned", x);

    /// <summary>
    /// Multiplies each group of rows, or of inner numbers, by a matrix of its own, with the groups' ends read by the kernel alone where
    /// <see cref="GroupedProducts"/> says so: [N,K] and [E,K,M] -> [N,M]; [L,N] and [N,M] -> [E,L,M].
    /// </summary>
    /// <param name="a">[N,K], the rows of one group after those of the one before it; or [L,N].</param>
    /// <param name="b">[E,K,M]; or [N,M]. Of both operands one of the last two strides is 1, the other a multiple of 16 bytes.</param>
    /// <param name="ends">[E] int32: the place after each group's last one.</param>
    public static Tensor GroupedMatMul(Tensor a, Tensor b, Tensor ends) =>
        MetaForms.Serve(a) ? MetaForms.GroupedMatMul(a, b, ends) : (Tensor)Invoke("grouped_mm", a, b, ends);

    /// <summary>
    /// Runs one AdamW step in place over lists of equal length; step counters are float32 scalars, already incremented. Gradients are
    /// divided by
    /// <paramref name="divisor"/> (a float32 scalar) where there is one.
    /// </summary>
    public static void FusedAdamW(
        Tensor[] parameters, Tensor[] gradients, Tensor[] firstMoments, Tensor[] secondMoments, Tensor[] steps,
        double learningRate, double beta1, double beta2, double weightDecay, double epsilon, Tensor? divisor) =>
        Invoke(
            "fused_adamw", parameters, gradients, firstMoments, secondMoments, steps, learningRate, beta1, beta2, weightDecay, epsilon,
            divisor);
}
