using System.Diagnostics;
using System.Runtime.InteropServices;

namespace DiffusionGemma;

[Collection(Alone.Name)]
public sealed class HeapTrimTests
{
    /// <summary>
    /// 2 000 blocks of 100 kB, below what the C library maps singly; every other one goes, and leaves a hole that only a trim gives back.
    /// </summary>
    [Fact]
    public void Holes_between_what_stays_are_given_back()
    {
        Assert.SkipUnless(
            OperatingSystem.IsLinux() && NativeLibrary.TryLoad("libc.so.6", out nint library)
                && NativeLibrary.TryGetExport(library, "mallinfo2", out _),
            "The C library is not glibc.");
        const int Count = 2000, Size = 100_000;
        nint[] blocks = [.. Enumerable.Range(0, Count).Select(_ => Marshal.AllocHGlobal(Size))];
        byte[] ones = [.. Enumerable.Repeat((byte)1, Size)];
        foreach (nint block in blocks) Marshal.Copy(ones, 0, block, Size);
        for (int n = 0; n < Count; n += 2) Marshal.FreeHGlobal(blocks[n]);
        long before = WorkingSet();
        HeapTrim.Run();
        long after = WorkingSet();
        for (int n = 1; n < Count; n += 2)
        {
            Assert.Equal(1, Marshal.ReadByte(blocks[n]));
            Marshal.FreeHGlobal(blocks[n]);
        }
        Assert.True(before - after > 60_000_000, $"{(before - after) / 1e6:F0} MB given back of 100 MB");
    }

    private static long WorkingSet()
    {
        using Process process = Process.GetCurrentProcess();
        return process.WorkingSet64;
    }
}
