using TorchSharp;
using static TorchSharp.torch;

namespace DiffusionGemma;

/// <summary>Reads the values that a device has computed.</summary>
internal sealed class DeviceReads : IHostReads
{
    public long[] CountsOf(Tensor ids, long classes)
    {
        using Tensor counts = ids.bincount(null, classes), host = counts.cpu();
        return host.data<long>().ToArray();
    }

    public Tensor IndicesOf(Tensor mask)
    {
        using Tensor flat = mask.flatten(), places = flat.nonzero();
        return places.flatten();
    }

    public double[] Numbers(Tensor values)
    {
        using Tensor wide = values.to(ScalarType.Float64), host = wide.cpu(), ordered = host.contiguous();
        return ordered.data<double>().ToArray();
    }

    public Tensor OnHost(Tensor values) =>
        values.device_type == DeviceType.CPU && values.is_contiguous() ? values : values.cpu().contiguous();
}
