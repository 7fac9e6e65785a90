using System.Buffers.Binary;
using System.Text;

namespace DiffusionGemma;

/// <summary>
/// Safetensors files made by hand, so that they can be wrong, and read by hand, so that the reader is not judged by itself.
/// </summary>
internal static class RawSafetensors
{
    public static byte[] File(string header, int dataBytes)
    {
        byte[] json = Encoding.UTF8.GetBytes(header);
        byte[] file = new byte[8 + json.Length + dataBytes];
        BinaryPrimitives.WriteInt64LittleEndian(file, json.Length);
        json.CopyTo(file, 8);
        for (int n = 0; n < dataBytes; n++) file[8 + json.Length + n] = (byte)(n * 7);
        return file;
    }

    public static byte[] Bytes(TensorInfo tensor) =>
        System.IO.File.ReadAllBytes(tensor.File).AsSpan((int)tensor.Offset, (int)tensor.Length).ToArray();

    /// <summary>Returns the exact values of a float32 or bfloat16 tensor.</summary>
    public static float[] Floats(TensorInfo tensor)
    {
        byte[] bytes = Bytes(tensor);
        return tensor.DType switch
        {
            TorchSharp.torch.ScalarType.Float32 => [.. bytes.Chunk(4).Select(part => BinaryPrimitives.ReadSingleLittleEndian(part))],
            TorchSharp.torch.ScalarType.BFloat16 =>
                [.. bytes.Chunk(2).Select(part => BitConverter.Int32BitsToSingle(BinaryPrimitives.ReadUInt16LittleEndian(part) << 16))],
            var dtype => throw new NotSupportedException(dtype.ToString()),
        };
    }

    /// <summary>Rounds to the nearest bfloat16, ties to even.</summary>
    public static float RoundToBFloat16(float number)
    {
        uint bits = BitConverter.SingleToUInt32Bits(number);
        return BitConverter.UInt32BitsToSingle((bits + 0x7FFF + ((bits >> 16) & 1)) & 0xFFFF0000);
    }
}
