using System.Runtime.InteropServices;
using TorchSharp;
using static TorchSharp.torch;

namespace DiffusionGemma;

/// <summary>What TorchSharp's own surface gets wrong or lacks: a pointer that honours a view's offset, and a tensor over foreign memory.</summary>
internal static unsafe partial class NativeTensors
{
    /// <summary>The first element of a tensor's memory (a view's own, not its storage's). Valid while the tensor lives.</summary>
    public static void* Data(Tensor tensor)
    {
        void* data = THSTensor_data(tensor.Handle);
        GC.KeepAlive(tensor);
        return data;
    }

    /// <summary>A CPU tensor over memory that somebody else owns and keeps: nothing is copied, nothing is freed.</summary>
    public static Tensor FromMemory(void* data, ReadOnlySpan<long> shape, ScalarType dtype)
    {
        fixed (long* sizes = shape)
        {
            long none = 0;
            nint handle = THSTensor_new(data, &Nothing, shape.Length == 0 ? &none : sizes, shape.Length, (sbyte)dtype, (sbyte)dtype, 0, -1, 0);
            if (handle == 0) throw new ExternalException($"No tensor over mapped memory: {Marshal.PtrToStringAnsi(THSTorch_get_and_reset_last_err())}");
            return Tensor.UnsafeCreateTensor(handle);
        }
    }

    [UnmanagedCallersOnly]
    private static void Nothing(void* data)
    {
    }

    [LibraryImport("LibTorchSharp")]
    private static partial nint THSTensor_new(
        void* data, delegate* unmanaged<void*, void> deleter, long* sizes, int rank, sbyte type, sbyte dtype, int deviceType, int deviceIndex, byte requiresGrad);

    [LibraryImport("LibTorchSharp")]
    private static partial void* THSTensor_data(nint tensor);

    [LibraryImport("LibTorchSharp")]
    private static partial nint THSTorch_get_and_reset_last_err();
}
