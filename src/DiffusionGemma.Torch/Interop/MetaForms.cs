using TorchSharp;
using static TorchSharp.torch;

namespace DiffusionGemma;

/// <summary>
/// Forms of operators that libtorch cannot run on the device <c>meta</c>, made of operators that it can. Shapes and dtypes are the same,
/// and so are the values up to rounding on a device that has any.
/// </summary>
internal static class MetaForms
{
    /// <summary>Returns true for a tensor without values.</summary>
    public static bool Serve(Tensor tensor) => tensor.device_type == DeviceType.META;

    /// <inheritdoc cref="TorchOperators.SelectRows"/>
    public static Tensor SelectRows(Tensor rows, Tensor places)
    {
        SameDevice.Require(rows, places);
        return rows[places];
    }

    /// <inheritdoc cref="TorchOperators.SumOfRows"/>
    public static Tensor SumOfRows(Tensor rows, Tensor places, long count)
    {
        using Tensor chosen = SelectRows(rows, places);
        return chosen.view(-1, count, rows.shape[1]).sum(1);
    }

    /// <inheritdoc cref="TorchOperators.GroupedMatMul"/>
    public static Tensor GroupedMatMul(Tensor a, Tensor b, Tensor ends)
    {
        SameDevice.Require(a, b, ends);
        using var scope = NewDisposeScope();
        long groups = ends.shape[0], count = b.dim() == 3 ? a.shape[0] : a.shape[1];
        Tensor places = arange(count, dtype: ScalarType.Int32, device: a.device);
        Tensor group = ends.unsqueeze(0).le(places.unsqueeze(1)).sum(1);                       // [N]: of each place
        if (b.dim() == 3)
        {
            Tensor all = a.unsqueeze(0).expand(groups, -1, -1).bmm(b);
            return all.gather(0, group.view(1, -1, 1).expand(1, -1, all.shape[2])).squeeze(0).MoveToOuterDisposeScope();
        }
        Tensor own = group.unsqueeze(0).eq(arange(groups, dtype: ScalarType.Int64, device: a.device).unsqueeze(1));    // [E,N]
        return (a.unsqueeze(0) * own.unsqueeze(1).to(a.dtype)).bmm(b.unsqueeze(0).expand(groups, -1, -1)).MoveToOuterDisposeScope();
    }

    /// <inheritdoc cref="TorchOperators.Attention"/>
    public static Tensor Attention(Tensor q, Tensor k, Tensor v, Tensor? mask, double scale)
    {
        SameDevice.Require(q, k, v, mask);
        using var scope = NewDisposeScope();
        long rows = q.shape[0], heads = q.shape[1], queries = q.shape[2], keys = k.shape[2], size = q.shape[3];
        Tensor OfQueryHeads(Tensor x) => x.unsqueeze(2)
            .expand(rows, k.shape[1], heads / k.shape[1], keys, size).reshape(rows * heads, keys, size);
        Tensor scores = q.reshape(rows * heads, queries, size).bmm(OfQueryHeads(k).transpose(1, 2)).mul(scale)
            .view(rows, heads, queries, keys);
        if (mask is not null) scores = scores.masked_fill(mask.bitwise_not(), double.NegativeInfinity);
        return scores.softmax(-1).view(rows * heads, queries, keys).bmm(OfQueryHeads(v)).view(rows, heads, queries, size)
            .MoveToOuterDisposeScope();
    }
}
