using static TorchSharp.torch;

namespace DiffusionGemma;

/// <summary>
/// Summed cross-entropy of softcap(h Wᵀ) against targets, in chunks of tokens: the logits [N,V] of one row of the real model are a gigabyte
/// in float32, and only one chunk of them exists at a time. Gradients are computed together with the loss, from the same logits, because
/// the factor of the sum in the total loss is known beforehand; there is no autograd function. The hidden state's gradient starts the
/// backward, the head's is added to its buffer.
/// <para>
/// z = h Wᵀ, s = c · tanh(z / c), loss = Σ logsumexp(s) - s_target; dz = (softmax(s) - onehot) · (1 - (s / c)²), dh = dz W, dW = dzᵀ h.
/// </para>
/// </summary>
internal static class HeadLoss
{
    /// <summary>Logits of a chunk, but at least <see cref="LeastChunk"/> tokens: fewer would not be worth reading W.</summary>
    private const long ChunkElements = 1 << 23;

    private const long LeastChunk = 128;

    /// <summary>Most tokens of a chunk.</summary>
    public static long Chunk(long vocabulary) => Math.Max(LeastChunk, ChunkElements / vocabulary);

    /// <summary>The sum alone.</summary>
    /// <param name="hidden">[...,H].</param>
    /// <param name="weight">The head [V,H].</param>
    /// <param name="targets">[...] int64.</param>
    /// <param name="places">[n] int64: the positions that count, among all flattened.</param>
    /// <param name="cap">c, the soft-cap.</param>
    /// <returns>A float64 scalar on the device.</returns>
    public static Tensor Sum(Tensor hidden, StoredWeight weight, Tensor targets, Tensor places, double cap) =>
        Run(hidden, weight, targets, places, cap, null, null).Sum;

    /// <summary>
    /// The sum; and of <paramref name="factor"/> times the sum the gradient of <paramref name="hidden"/> (null where it requires none),
    /// while the head's, where it trains, is added up.
    /// </summary>
    /// <param name="hidden">[...,H].</param>
    /// <param name="weight">The head [V,H].</param>
    /// <param name="targets">[...] int64.</param>
    /// <param name="places">[n] int64: the positions that count, among all flattened.</param>
    /// <param name="cap">c, the soft-cap.</param>
    /// <param name="factor">Factor of the sum in the loss.</param>
    /// <param name="gradients">Where the head's gradient is added.</param>
    /// <returns>The sum, a float64 scalar on the device; and the gradient.</returns>
    public static (Tensor Sum, Tensor? HiddenGradient) SumAndGradient(
        Tensor hidden, StoredWeight weight, Tensor targets, Tensor places, double cap, double factor, GradientSink gradients) =>
        Run(hidden, weight, targets, places, cap, factor, gradients);

    private static (Tensor Sum, Tensor? HiddenGradient) Run(
        Tensor hidden, StoredWeight weight, Tensor targets, Tensor places, double cap, double? factor, GradientSink? gradients)
    {
        using IDisposable quiet = no_grad();
        using var scope = NewDisposeScope();
        Tensor tokens = hidden.reshape(-1, hidden.shape[^1]);
        Tensor? gradient = factor is not null && hidden.requires_grad ? zeros_like(tokens) : null;
        Tensor? buffer = factor is not null && weight.RequiresGradient ? gradients!.BufferOf(weight.Tensor!) : null;
        targets = targets.flatten();
        Tensor sum = zeros([], dtype: ScalarType.Float64, device: hidden.device);
        foreach (Tensor part in Parts(places, Chunk(weight.Shape[0])))
        {
            using var inner = NewDisposeScope();
            Tensor rows = TorchOperators.SelectRows(tokens, part), logits = Kernels.Linear(rows, weight),
                target = TorchOperators.SelectRows(targets, part).unsqueeze(-1);
            bool withGradient = gradient is not null || buffer is not null;
            sum.add_(Kernels.CappedCrossEntropy(logits, target, cap, withGradient));
            gradient?.index_copy_(0, part, Kernels.MatMul(logits, weight).mul_(factor!.Value));
            if (buffer is not null) Kernels.AddOuter(buffer, logits, rows.mul_(factor!.Value));
        }
        return (sum.MoveToOuterDisposeScope(), gradient?.view(hidden.shape).MoveToOuterDisposeScope());
    }

    /// <summary>As few parts as the limit allows, of like size.</summary>
    private static Tensor[] Parts(Tensor places, long limit)
    {
        long count = places.shape[0], parts = (count + limit - 1) / limit;
        return parts == 0 ? [] : places.split((count + parts - 1) / parts);
    }
}
