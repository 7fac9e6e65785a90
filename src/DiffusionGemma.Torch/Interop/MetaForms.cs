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
