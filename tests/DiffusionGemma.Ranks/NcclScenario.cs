using System.Diagnostics;
using System.Globalization;
using System.Runtime.InteropServices;
using CsCheck;
using static TorchSharp.torch;

namespace DiffusionGemma;

/// <summary>
/// Checks of NCCL's engine with the stand-in of nccl_standin.c on the library path: ranks are threads, devices are numbers, tensors are on
/// the CPU.
/// </summary>
internal static partial class NcclScenario
{
    private static readonly TimeSpan Long = TimeSpan.FromMinutes(10);

    public static string Run()
    {
        Timer();
        Memory();
        int cases = Properties();
        Mismatches();
        Stuck();
        Aborted();
        LateError();
        return string.Create(CultureInfo.InvariantCulture, $"{cases} well");
    }

    /// <summary>Two events on the named device give the time between them; the thread's own device stays selected.</summary>
    private static void Timer()
    {
        var pause = TimeSpan.FromMilliseconds(50);
        GpuLibraries.RequireRuntime();
        CudaRuntime.Check(CudaRuntime.cudaSetDevice(1));
        int before = standin_events();
        using (var timer = CudaTimer.Start(3))
        {
            long start = Stopwatch.GetTimestamp();
            Thread.Sleep(pause);
            TimeSpan took = timer.Stop(), most = Stopwatch.GetElapsedTime(start) + pause;
            True(took >= pause - TimeSpan.FromMilliseconds(1) && took <= most, $"{took} between events, {most} at most");
            True(standin_events() == before + 2, $"{standin_events()} events");
        }
        True(standin_events() == before, $"{standin_events()} events are left");
        CudaRuntime.Check(CudaRuntime.cudaGetDevice(out int selected));
        True(selected == 1, $"device {selected} is selected");
        try
        {
            CudaTimer.Start(99).Dispose();
            True(false, "a device that is not there was taken");
        }
        catch (ExternalException e)
        {
            True(e.Message.Contains("CUDA error 101: invalid device ordinal"), e.Message);
        }
        try
        {
            _ = GpuLibraries.RuntimeFunction("cudaNoSuchFunction", "cudaNorThis");
            True(false, "a function that is not there was found");
        }
        catch (EntryPointNotFoundException e)
        {
            True(e.Message.Contains("cudaNoSuchFunction or cudaNorThis"), e.Message);
        }
    }

    /// <summary>Memory of the named device.</summary>
    private static void Memory()
    {
        foreach (int device in new[] { 0, 2 })
        {
            True(CudaMemory.TryRead(device, out CudaMemory memory), "CUDA's runtime is not found");
            True(memory == new CudaMemory((79L - device) << 30, 80L << 30), $"device {device}: {memory}");
        }
    }

    private static NcclProcessGroup[] Create(int ranks, TimeSpan timeout) =>
        NcclProcessGroup.Create([.. Enumerable.Range(0, ranks)], _ => CPU, timeout);

    private static int Properties()
    {
        const int count = 200;
        PCG generator = PCG.Parse("0000000000000");
        Gen<CollectiveCase> cases = CollectiveCase.Draw(Gen.Int[1, 4], most: 3000);
        int made = 0;
        for (int n = 0; n < count; n++)
        {
            CollectiveCase one = cases.Generate(generator, null, out _);
            made += one.Ranks * (one.Operation == Collective.Split ? 2 : 1);
            RankThreads.Succeed(Create(one.Ranks, Long), group =>
            {
                using (group) one.Check(group);
            });
        }
        True(
            standin_destroyed() == made && standin_aborts() == 0,
            $"{standin_destroyed()} of {made} communicators were destroyed, {standin_aborts()} aborted");
        return count;
    }

    private static void Mismatches()
    {
        foreach (string kind in new[] { "operation", "dtype", "size", "root", "split", "counts", "rows" })
        {
            NcclProcessGroup[] world = Create(3, Long);
            foreach (Exception? end in RankThreads.Run(world, group => Mismatching.Call(group, kind, group.Rank == 1)))
                True(end is ProcessGroupException && end.Message.Contains("rank 1 "), $"{kind}: {end}");
            Dispose(world, aborts: 3);
        }
    }

    /// <summary>The device never completes a collective: the call returns, and the next one throws.</summary>
    private static void Stuck() => TimeoutTest.Run(timeout =>
    {
        standin_stuck(1);
        NcclProcessGroup[] world = Create(2, timeout);
        var watch = Stopwatch.StartNew();
        Exception?[] ends = RankThreads.Run(world, group =>
        {
            group.Activity = "step 3";
            group.AllReduce(zeros(5));
            group.Activity = "step 4";
            group.Barrier();
        });
        TimeSpan elapsed = watch.Elapsed;
        Dispose(world, aborts: 2);
        standin_stuck(0);
        foreach (Exception? end in ends)
        {
            const string late = "(step 3), collective 1, all-reduce of 5 float32, was not complete on device ";
            // So the first call did not wait for the device.
            const string next = "(step 4), collective 2, barrier: ";
            True(end is ProcessGroupException && end.Message.Contains(late) && end.Message.Contains(next), $"{end}");
        }
        True(elapsed < Long / 2, $"{elapsed}");
    });

    /// <summary>One rank fails while the others wait for their devices.</summary>
    private static void Aborted()
    {
        standin_stuck(1);
        NcclProcessGroup[] world = Create(3, Long);
        var watch = Stopwatch.StartNew();
        Exception?[] ends = RankThreads.Run(world, group =>
        {
            if (group.Rank != 1) group.Barrier();
            else
            {
                ThreadPool.UnsafeQueueUserWorkItem(_ => group.Abort(new IOException("the disk is full")), null);
                group.Barrier();
            }
        });
        foreach (Exception? end in ends)
        {
            bool isCause = end is ProcessGroupException { InnerException: IOException };
            True(isCause && end!.Message.Contains("rank 1 failed: the disk is full"), $"{end}");
        }
        True(watch.Elapsed < Long / 2, $"{watch.Elapsed}");
        Dispose(world, aborts: 3);
        standin_stuck(0);
    }

    /// <summary>NCCL reports an error of a collective that it had accepted.</summary>
    private static void LateError()
    {
        standin_stuck(1);
        NcclProcessGroup[] world = Create(2, Long);
        Exception?[] ends = RankThreads.Run(world, group =>
        {
            group.AllReduce(zeros(5));
            Thread.Sleep(50);
            standin_error(6);
            Thread.Sleep(100);
            group.Barrier();
        });
        foreach (Exception? end in ends) True(end is ProcessGroupException && end.Message.Contains("NCCL error 6"), $"{end}");
        standin_error(0);
        Dispose(world, aborts: 2);
        standin_stuck(0);
    }

    private static void Dispose(NcclProcessGroup[] world, int aborts)
    {
        int destroyed = standin_destroyed();
        foreach (NcclProcessGroup group in world) group.Dispose();
        _aborts += aborts;
        for (int n = 0; n < 6000 && standin_aborts() < _aborts; n++) Thread.Sleep(10);
        True(
            standin_aborts() == _aborts && standin_destroyed() == destroyed,
            $"{standin_aborts()} aborts instead of {_aborts}, {standin_destroyed() - destroyed} destroyed");
    }

    private static int _aborts;

    private static void True(bool holds, string otherwise)
    {
        if (!holds) throw new InvalidDataException(otherwise);
    }

    [LibraryImport("libcudart.so.12")]
    private static partial int standin_events();

    [LibraryImport("libnccl.so.2")]
    private static partial void standin_stuck(int stuck);

    [LibraryImport("libnccl.so.2")]
    private static partial void standin_error(int code);

    [LibraryImport("libnccl.so.2")]
    private static partial int standin_aborts();

    [LibraryImport("libnccl.so.2")]
    private static partial int standin_destroyed();
}
