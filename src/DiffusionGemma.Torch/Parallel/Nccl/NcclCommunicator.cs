using System.Diagnostics;
using System.Runtime.InteropServices;
using static DiffusionGemma.NcclLibrary;

namespace DiffusionGemma;

/// <summary>
/// One rank's NCCL communicator, whose calls do not wait, and a thread that watches what is under way on the device: a collective that takes too long, an
/// error that comes late, or a failure of the group ends in ncclCommAbort, which lets the device's kernels go. The rank's next call then throws.
/// </summary>
internal sealed unsafe class NcclCommunicator : IDisposable
{
    private static readonly TimeSpan Look = TimeSpan.FromMilliseconds(10);

    private readonly object _gate = new();
    private readonly Queue<UnderWay> _queue = new();
    private readonly Stack<nint> _events = new();
    private readonly int _device;
    private readonly TimeSpan _timeout;
    private readonly GroupFailure _failure;
    private nint _handle;
    private bool _disposed;

    /// <summary>Takes over a communicator that NCCL may still be making; <see cref="Settle"/> before it is used.</summary>
    public NcclCommunicator(nint handle, int device, TimeSpan timeout, GroupFailure failure)
    {
        (_handle, _device, _timeout, _failure) = (handle, device, timeout, failure);
        new Thread(Watch) { IsBackground = true, Name = $"NCCL watch of device {device}" }.Start();
    }

    /// <summary>Calls NCCL with the communicator, and returns once it has taken the call: not when the device has done it.</summary>
    /// <param name="call">Returns NCCL's code.</param>
    /// <param name="what">For messages.</param>
    public void Call(Func<nint, int> call, string what)
    {
        lock (_gate)
        {
            if (_handle == 0) throw new ExternalException($"{what}: the communicator was aborted.");
            Check(call(_handle));
        }
        Settle(what);
    }

    /// <summary>Waits while NCCL makes or connects the communicator.</summary>
    public void Settle(string what)
    {
        long start = Stopwatch.GetTimestamp();
        for (var spin = new SpinWait(); ; spin.SpinOnce())
        {
            int state;
            lock (_gate)
            {
                if (_handle == 0) throw new ExternalException($"{what}: the communicator was aborted.");
                Check(ncclCommGetAsyncError(_handle, out state));
            }
            if (state == Success) return;
            Check(state);
            if (_failure.Failed || Over(start)) throw new TimeoutException($"{what}: NCCL was not ready within {_timeout.TotalSeconds:0.###} s.");
        }
    }

    /// <summary>Notes that the stream now holds a collective, to be watched.</summary>
    /// <returns>Whether it is done, to be asked until it is.</returns>
    public Func<bool> Enqueued(string description)
    {
        lock (_gate)
        {
            if (!_events.TryPop(out nint recorded)) CudaRuntime.Check(CudaRuntime.cudaEventCreateWithFlags(out recorded, CudaRuntime.WithoutTiming));
            CudaRuntime.Check(CudaRuntime.cudaEventRecord(recorded, 0));
            var under = new UnderWay(description, recorded, Stopwatch.GetTimestamp());
            _queue.Enqueue(under);
            Monitor.PulseAll(_gate);
            return () =>
            {
                lock (_gate)
                {
                    Retire();
                    return !_queue.Contains(under);
                }
            };
        }
    }

    /// <summary>
    /// Where the group is well, returns once all ranks have come here and what they started is done: each rank's thread disposes its own. Otherwise aborts.
    /// </summary>
    public void Dispose()
    {
        lock (_gate)
        {
            if (_disposed) return;
            _disposed = true;
            Monitor.PulseAll(_gate);
        }
        try
        {
            if (!_failure.Failed)
            {
                Call(ncclCommFinalize, "the end of a communicator");
                lock (_gate)
                {
                    if (_handle != 0) Check(ncclCommDestroy(_handle));
                    _handle = 0;
                }
            }
        }
        catch (Exception e) when (e is ExternalException or TimeoutException)
        {
            _failure.Fail($"the end of a communicator of device {_device} failed: {e.Message}", e);
        }
        finally
        {
            Abort();
            foreach (nint recorded in _events) _ = CudaRuntime.cudaEventDestroy(recorded);
        }
    }

    private void Abort()
    {
        lock (_gate)
        {
            if (_handle == 0) return;
            _ = ncclCommAbort(_handle);
            _handle = 0;
        }
    }

    private void Watch()
    {
        try
        {
            CudaRuntime.Check(CudaRuntime.cudaSetDevice(_device));
            while (true)
            {
                lock (_gate)
                {
                    while (!_disposed && _queue.Count == 0) Monitor.Wait(_gate);
                    if (_disposed || _handle == 0) return;
                    Check(ncclCommGetAsyncError(_handle, out int state));
                    Check(state);
                    Retire();
                    if (_queue.TryPeek(out UnderWay? oldest) && Over(oldest.Start))
                        _failure.Fail($"{oldest.Description}, was not complete on device {_device} within {_timeout.TotalSeconds:0.###} s");
                }
                if (_failure.Failed) break;
                Thread.Sleep(Look);
            }
        }
        catch (ExternalException e)
        {
            _failure.Fail($"the communicator of device {_device} failed: {e.Message}", e);
        }
        Abort();
    }

    private void Retire()
    {
        while (_queue.TryPeek(out UnderWay? oldest) && CudaRuntime.Done(oldest.Event))
        {
            _events.Push(oldest.Event);
            _queue.Dequeue();
        }
    }

    private bool Over(long start) => _timeout != Timeout.InfiniteTimeSpan && Stopwatch.GetElapsedTime(start) > _timeout;

    private sealed record UnderWay(string Description, nint Event, long Start);
}
