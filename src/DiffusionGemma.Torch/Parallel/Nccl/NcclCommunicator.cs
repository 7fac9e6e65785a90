using System.Diagnostics;
using System.Runtime.InteropServices;
using static DiffusionGemma.NcclLibrary;

namespace DiffusionGemma;

/// <summary>
/// One rank's non-blocking NCCL communicator, and a thread that watches the collectives pending on the device: after a time-out, an
/// asynchronous error or a failure of the group it calls ncclCommAbort, which ends the device's kernels. The rank's next call then throws.
/// </summary>
internal sealed unsafe class NcclCommunicator : IDisposable
{
    private static readonly TimeSpan PollInterval = TimeSpan.FromMilliseconds(10);

    private readonly object _gate = new();
    private readonly Queue<PendingCollective> _pending = new();
    private readonly Stack<nint> _freeEvents = new();
    private readonly int _device;
    private readonly TimeSpan _timeout;
    private readonly GroupFailure _failure;
    private nint _handle;
    private bool _disposed;

    /// <summary>Takes over a communicator that NCCL may still be initializing; call <see cref="WaitUntilReady"/> before using it.</summary>
    public NcclCommunicator(nint handle, int device, TimeSpan timeout, GroupFailure failure)
    {
        (_handle, _device, _timeout, _failure) = (handle, device, timeout, failure);
        new Thread(WatchPending) { IsBackground = true, Name = $"NCCL watch of device {device}" }.Start();
    }

    /// <summary>Calls NCCL with the communicator, and returns once NCCL has enqueued the call, before the device has executed it.</summary>
    /// <param name="call">Gets the communicator and returns NCCL's code.</param>
    /// <param name="what">Names the call in messages.</param>
    public void Call(Func<nint, int> call, string what)
    {
        lock (_gate)
        {
            if (_handle == 0) throw new ExternalException($"{what}: the communicator was aborted.");
            Check(call(_handle));
        }
        WaitUntilReady(what);
    }

    /// <summary>Waits while NCCL initializes or connects the communicator.</summary>
    public void WaitUntilReady(string what)
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
            if (_failure.HasFailed || IsOverdue(start))
                throw new TimeoutException($"{what}: NCCL was not ready within {_timeout.TotalSeconds:0.###} s.");
        }
    }

    /// <summary>Starts to watch the collective that was last put into the stream.</summary>
    /// <returns>A function that returns true once the device has completed it.</returns>
    public Func<bool> Watch(string description)
    {
        lock (_gate)
        {
            if (!_freeEvents.TryPop(out nint recorded))
                CudaRuntime.Check(CudaRuntime.cudaEventCreateWithFlags(out recorded, CudaRuntime.WithoutTiming));
            CudaRuntime.Check(CudaRuntime.cudaEventRecord(recorded, 0));
            var pending = new PendingCollective(description, recorded, Stopwatch.GetTimestamp());
            _pending.Enqueue(pending);
            Monitor.PulseAll(_gate);
            return () =>
            {
                lock (_gate)
                {
                    RemoveCompleted();
                    return !_pending.Contains(pending);
                }
            };
        }
    }

    /// <summary>
    /// Unless the group has failed, returns once all ranks have called it and their collectives are complete: each rank's thread disposes
    /// its own. After a failure, aborts.
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
            if (!_failure.HasFailed)
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
            foreach (nint recorded in _freeEvents) _ = CudaRuntime.cudaEventDestroy(recorded);
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

    private void WatchPending()
    {
        try
        {
            CudaRuntime.Check(CudaRuntime.cudaSetDevice(_device));
            while (true)
            {
                lock (_gate)
                {
                    while (!_disposed && _pending.Count == 0) Monitor.Wait(_gate);
                    if (_disposed || _handle == 0) return;
                    Check(ncclCommGetAsyncError(_handle, out int state));
                    Check(state);
                    RemoveCompleted();
                    if (_pending.TryPeek(out PendingCollective? oldest) && IsOverdue(oldest.Start))
                        _failure.Fail($"{oldest.Description}, was not complete on device {_device} within {_timeout.TotalSeconds:0.###} s");
                }
                if (_failure.HasFailed) break;
                Thread.Sleep(PollInterval);
            }
        }
        catch (ExternalException e)
        {
            _failure.Fail($"the communicator of device {_device} failed: {e.Message}", e);
        }
        Abort();
    }

    private void RemoveCompleted()
    {
        while (_pending.TryPeek(out PendingCollective? oldest) && CudaRuntime.Done(oldest.Event))
        {
            _freeEvents.Push(oldest.Event);
            _pending.Dequeue();
        }
    }

    private bool IsOverdue(long start) => _timeout != Timeout.InfiniteTimeSpan && Stopwatch.GetElapsedTime(start) > _timeout;

    private sealed record PendingCollective(string Description, nint Event, long Start);
}
