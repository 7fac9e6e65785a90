using System.Runtime.InteropServices;
using static TorchSharp.torch;

namespace DiffusionGemma;

/// <summary>
/// Native tensor functions that TorchSharp lacks: a data pointer that honours a view's offset, and a tensor over foreign memory.
/// </summary>
internal static unsafe partial class NativeTensors
{
    /// <summary>
    /// Returns the address of a tensor's first element (of a view's, not of its storage's). Valid while the tensor lives.
    /// </summary>
    public static void* Data(Tensor tensor)
    {
        void* data = THSTensor_data(tensor.Handle);
        GC.KeepAlive(tensor);
        return data;
    }

    /// <summary>Returns the elements of a contiguous CPU tensor. Valid while the tensor lives.</summary>
    public static Span<T> Elements<T>(Tensor tensor)
        where T : unmanaged => new(Data(tensor), checked((int)tensor.numel()));

    /// <summary>Creates a CPU tensor over memory that the caller owns and keeps alive: nothing is copied, and nothing freed.</summary>
    public static Tensor FromMemory(void* data, ReadOnlySpan<long> shape, ScalarType dtype)
    {
        fixed (long* sizes = shape)
        {
            long none = 0;
            nint handle = THSTensor_new(
                data, &Nothing, shape.Length == 0 ? &none : sizes, shape.Length, (sbyte)dtype, (sbyte)dtype, 0, -1, 0);
            if (handle == 0)
                throw new ExternalException($"No tensor over mapped memory: {Marshal.PtrToStringAnsi(THSTorch_get_and_reset_last_err())}");
            return Tensor.UnsafeCreateTensor(handle);
        }
    }

    [UnmanagedCallersOnly]
    private static void Nothing(void* data)
    {
    }

    [LibraryImport("LibTorchSharp")]
    private static partial nint THSTensor_new(
        void* data, delegate* unmanaged<void*, void> deleter, long* sizes, int rank, sbyte type, sbyte dtype, int deviceType,
        int deviceIndex, byte requiresGrad);

    [LibraryImport("LibTorchSharp")]
    private static partial void* THSTensor_data(nint tensor);

    [LibraryImport("LibTorchSharp")]
    private static partial nint THSTorch_get_and_reset_last_err();
}
