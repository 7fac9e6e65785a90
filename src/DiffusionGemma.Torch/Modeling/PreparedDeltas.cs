using static TorchSharp.torch;

namespace DiffusionGemma;

/// <summary>
/// Low-rank deltas in the order and of the rank that products read them with, which are not those that they are stored with. Made once for
/// as long as rows run with an adapter, whose weights stay the same that long; beyond a number of bytes they are made at each use.
/// </summary>
/// <param name="mostBytes">Bytes held at most.</param>
internal sealed class PreparedDeltas(long mostBytes = PreparedDeltas.DefaultMostBytes) : IDisposable
{
    /// <summary>1 GiB: three adapters of rank 4 on all expert stacks of the released model.</summary>
    private const long DefaultMostBytes = 1L << 30;

    private readonly Dictionary<object, (Tensor A, Tensor B)> _held = new(ReferenceEqualityComparer.Instance);
    private long _bytes;

    /// <summary>The number of deltas held.</summary>
    public int Count => _held.Count;

    /// <summary>Returns A [r,in] and Bᵀ [r,out] of a projection's delta, contiguous, r perhaps with zeros up to a whole register.</summary>
    /// <param name="lora">The delta.</param>
    /// <param name="dtype">The dtype that is computed in: for one holder always the same.</param>
    /// <param name="holder">Keeps them; null: they are made for this use.</param>
    public static (Tensor A, Tensor B) Of(LoraPair lora, ScalarType dtype, PreparedDeltas? holder) =>
        holder is null ? (lora.A.to(dtype), lora.TransposedB(dtype))
            : holder.Hold(lora, () => (Whole(lora.A.to(dtype)), Whole(lora.TransposedB(dtype))));

    /// <summary>Returns A [E,r,in] and Bᵀ [E,r,out] of an expert stack's delta, as above.</summary>
    /// <param name="lora">The delta.</param>
    /// <param name="dtype">The dtype that is computed in: for one holder always the same.</param>
    /// <param name="counted">The rows of each expert, on the host or on the device: for one holder always the same.</param>
    /// <param name="holder">Keeps them; null: they are made for this use.</param>
    public static (Tensor A, Tensor B) Of(ExpertStackLora lora, ScalarType dtype, ExpertRows counted, PreparedDeltas? holder) =>
        holder is null ? lora.OfExperts(dtype, counted)
            : holder.Hold(lora, () =>
            {
                (Tensor a, Tensor b) = lora.OfExperts(dtype, counted);
                return (Whole(a), Whole(b));
            });

    /// <summary>Frees the deltas of adapters that no row runs with.</summary>
    /// <param name="adapters">The adapters of the rows.</param>
    public void KeepOnly(IEnumerable<IAdapterDeltas> adapters)
    {
        if (_held.Count == 0) return;
        var live = new HashSet<object>(adapters.Distinct().SelectMany(adapter => adapter.List()), ReferenceEqualityComparer.Instance);
        foreach (object gone in _held.Keys.Where(key => !live.Contains(key)).ToArray()) Free(gone);
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        foreach (object key in _held.Keys.ToArray()) Free(key);
    }

    private (Tensor A, Tensor B) Hold(object lora, Func<(Tensor A, Tensor B)> make)
    {
        if (_held.TryGetValue(lora, out (Tensor A, Tensor B) held)) return held;
        using var scope = NewDisposeScope();
        (Tensor a, Tensor b) = make();
        long bytes = Bytes(a) + Bytes(b);
        if (_bytes + bytes > mostBytes) return (a.MoveToOuterDisposeScope(), b.MoveToOuterDisposeScope());
        _bytes += bytes;
        // Handles of their own: the adapter's may be disposed meanwhile.
        return _held[lora] = (a.alias().DetachFromDisposeScope(), b.alias().DetachFromDisposeScope());
    }

    private void Free(object lora)
    {
        _held.Remove(lora, out (Tensor A, Tensor B) held);
        _bytes -= Bytes(held.A) + Bytes(held.B);
        held.A.Dispose();
        held.B.Dispose();
    }

    /// <summary>Puts zeros below the rows [...,r,n], up to a rank that kernels take as it is; they change no sum.</summary>
    private static Tensor Whole(Tensor rows)
    {
        long missing = Kernels.MissingRank(rows, rows.shape[^2]);
        return missing == 0 ? rows : nn.functional.pad(rows, [0, 0, 0, missing]).contiguous();
    }

    private static long Bytes(Tensor tensor) => tensor.numel() * tensor.element_size();
}
