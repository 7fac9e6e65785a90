using System.Numerics;
using static TorchSharp.torch;

namespace DiffusionGemma;

/// <summary>Rows of bfloat16 numbers, each the upper sixteen bits of a float32.</summary>
/// <param name="weights">[...,out,in], contiguous, on the CPU; lives as long as this is used.</param>
internal sealed unsafe class BFloat16Rows(Tensor weights) : IStoredRows
{
    public long Columns { get; } = weights.shape[^1];

    public void Widen(long first, long count, float* to)
    {
        ushort* from = (ushort*)NativeTensors.Data(weights) + first * Columns;
        long numbers = count * Columns, i = 0;
        for (; i + Vector<ushort>.Count <= numbers; i += Vector<ushort>.Count)
        {
            Vector.Widen(Vector.Load(from + i), out Vector<uint> low, out Vector<uint> high);
            Vector.ShiftLeft(low, 16).As<uint, float>().Store(to + i);
            Vector.ShiftLeft(high, 16).As<uint, float>().Store(to + i + Vector<uint>.Count);
        }
        for (; i < numbers; i++) to[i] = BitConverter.UInt32BitsToSingle((uint)from[i] << 16);
        GC.KeepAlive(weights);
    }
}
