using System.Numerics;
using System.Runtime.InteropServices;
using static TorchSharp.torch;

namespace DiffusionGemma;

/// <summary>
/// Opens quantised matrices over a mapped file: on the CPU nothing is copied. Their scales are read, to see that they are numbers.
/// </summary>
internal static class QuantizedReader
{
    /// <param name="file">The file, which must outlive what is returned.</param>
    /// <param name="layout">Which tensors.</param>
    /// <param name="device">Where to; null: the CPU.</param>
    /// <exception cref="CheckpointException">A scale is not finite.</exception>
    public static QuantizedMatrix Read(SafetensorsFile file, MatrixLayout layout, Device? device = null)
    {
        using IDisposable quiet = no_grad();
        using var scope = NewDisposeScope();
        Tensor Part(string name)
        {
            Tensor mapped = file.Map(name);
            Tensor own = layout.Expert is int expert && mapped.dim() == 3 ? mapped.select(0, expert) : mapped;
            return (device is null || device.type == TorchSharp.DeviceType.CPU ? own : own.to(device)).DetachFromDisposeScope();
        }
        float global = 1;
        if (layout.GlobalScale is { } name)
        {
            Tensor numbers = file.Map(name).flatten();
            global = numbers[numbers.shape[0] > 1 ? layout.Expert!.Value : 0].item<float>();
            if (!float.IsFinite(global) || global == 0) throw NotFinite(file, name, global);
        }
        if (layout.Scales is { } scales) CheckScales(file, scales, layout);
        return new QuantizedMatrix(
            layout.Elements, Part(layout.Codes), layout.Columns, layout.ScaleFormat, layout.Scales is null ? null : Part(layout.Scales))
        {
            ZeroPoints = layout.ZeroPoints is null ? null : Part(layout.ZeroPoints),
            GlobalScale = global,
            GlobalDivides = layout.GlobalDivides,
        };
    }

    private static unsafe void CheckScales(SafetensorsFile file, string name, MatrixLayout layout)
    {
        TensorInfo info = file.Info(name);
        long length = info.Length, start = 0;
        if (layout.Expert is int expert) (start, length) = (length / info.Shape[0] * expert, length / info.Shape[0]);
        const int piece = 1 << 30;
        for (long at = 0; at < length; at += piece)
        {
            var bytes = new ReadOnlySpan<byte>(file.Bytes(name) + start + at, (int)Math.Min(piece, length - at));
            bool finite = layout.ScaleFormat switch
            {
                ScaleFormat.Float8 => !bytes.ContainsAny((byte)0x7F, (byte)0xFF),
                ScaleFormat.PowerOfTwo => !bytes.Contains((byte)0xFF),
                ScaleFormat.BFloat16 => AreFinite(bytes, (ushort)0x7F80),
                ScaleFormat.Float16 => AreFinite(bytes, (ushort)0x7C00),
                _ => AreFinite(bytes, 0x7F800000u),
            };
            if (!finite) throw NotFinite(file, name, float.NaN);
        }
    }

    /// <summary>Returns false where all bits of the exponent are set in any number.</summary>
    private static bool AreFinite<T>(ReadOnlySpan<byte> bytes, T exponent)
        where T : unmanaged, IBinaryInteger<T>
    {
        var mask = new Vector<T>(exponent);
        int step = Vector<byte>.Count, at = 0;
        for (; at + step <= bytes.Length; at += step)
            if (Vector.EqualsAny(mask & Vector.As<byte, T>(new Vector<byte>(bytes[at..])), mask)) return false;
        foreach (T number in MemoryMarshal.Cast<byte, T>(bytes[at..]))
            if ((number & exponent) == exponent) return false;
        return true;
    }

    private static CheckpointException NotFinite(SafetensorsFile file, string name, float value) => new(
        file.Info(name).File, name,
        (float.IsFinite(value) ? $"is {value}, and scales are divided by it" : "holds a scale that is not finite")
        + ". Fetch or copy the file again.");
}
