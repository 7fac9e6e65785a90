using System.Runtime.InteropServices;
using TorchSharp;
using static DiffusionGemma.CollectiveTensors;
using static DiffusionGemma.NcclLibrary;
using static TorchSharp.torch;

namespace DiffusionGemma;

/// <summary>
/// A process group whose ranks have a GPU each, with NCCL between them, on the stream that libtorch computes on: a collective returns when
/// NCCL has enqueued it, in order with the operations before and after it on the device; only a barrier waits for the device.
/// <para>
/// Ranks that are threads of one process compare their requests before NCCL gets them (<see cref="RankBarrier"/>). Ranks that are processes
/// do not, because that would drain the device at every collective: there a mismatch, and a failure elsewhere, end by the time-out. It
/// counts from the call and must be longer than the device's longest backlog. A watching thread then aborts the communicator; the results
/// of the pending operations are invalid, and the next collective throws.
/// </para>
/// </summary>
internal sealed unsafe class NcclProcessGroup : IProcessGroup
{
    /// <summary>Elements of bfloat16 that are widened to float32 at a time: 64 MiB.</summary>
    private const long WideElements = 1 << 24;

    private readonly RankBarrier? _barrier;
    private readonly GroupFailure _failure;
    private readonly NcclCommunicator _communicator;
    private readonly int _device;
    private readonly Device _tensors;
    private IReadOnlyList<RankStatus> _ranks;
    private long _number;
    private bool _disposed;

    private NcclProcessGroup(
        IReadOnlyList<RankStatus> ranks, int rank, int device, Device tensors, nint communicator, TimeSpan timeout, GroupFailure failure,
        RankBarrier? barrier)
    {
        (_ranks, Rank, _device, _tensors, Timeout, _failure, _barrier) = (ranks, rank, device, tensors, timeout, failure, barrier);
        _communicator = new NcclCommunicator(communicator, device, timeout, failure);
    }

    public int Rank { get; }

    public int Size => _ranks.Count;

    public TimeSpan Timeout { get; }

    public string Activity
    {
        get => _ranks[Rank].Activity;
        set => _ranks[Rank].Activity = value;
    }

    /// <summary>Creates a group whose ranks are threads of this process: one handle for each, used and disposed by one thread.</summary>
    /// <param name="devices">The CUDA device of each rank; no two the same.</param>
    /// <param name="timeout">The time-out of each collective, and of each step of creating the group.</param>
    /// <exception cref="ArgumentException">Two ranks have the same device, or there is none.</exception>
    /// <exception cref="DllNotFoundException">NCCL or CUDA is missing.</exception>
    public static NcclProcessGroup[] Create(IReadOnlyList<int> devices, TimeSpan timeout)
    {
        if (devices.Distinct().Count() < devices.Count)
            throw new ArgumentException(
                $"Each rank needs a GPU of its own, not {string.Join(", ", devices)}: NCCL refuses two ranks on one.", nameof(devices));
        return Create(devices, device => new Device(DeviceType.CUDA, device), timeout);
    }

    /// <summary>
    /// Creates a group whose tensors may be on another device than NCCL's, for tests with a stand-in of NCCL, and to ask NCCL itself.
    /// </summary>
    /// <param name="devices">The CUDA device of each rank.</param>
    /// <param name="tensors">Returns where the tensors of a device's rank are.</param>
    /// <param name="timeout">The time-out of each collective, and of each step of creating the group.</param>
    internal static NcclProcessGroup[] Create(IReadOnlyList<int> devices, Func<int, Device> tensors, TimeSpan timeout)
    {
        if (devices.Count == 0 || devices.Any(device => device < 0))
            throw new ArgumentException($"NCCL needs one device for each rank, not {string.Join(", ", devices)}.", nameof(devices));
        GpuLibraries.Require();
        UniqueId id;
        Check(ncclGetUniqueId(&id));
        var handles = new nint[devices.Count];
        Config config = NonBlocking;
        fixed (nint* made = handles)
        {
            Check(ncclGroupStart());
            for (int r = 0; r < handles.Length; r++)
            {
                CudaRuntime.Check(CudaRuntime.cudaSetDevice(devices[r]));
                Check(ncclCommInitRankConfig(made + r, handles.Length, id, r, &config));
            }
            Check(ncclGroupEnd());
        }
        var failure = new GroupFailure();
        var barrier = new RankBarrier([.. devices.Select((_, r) => new RankStatus(r))], timeout, failure);
        NcclProcessGroup[] groups =
        [
            .. handles.Select((handle, r) =>
                new NcclProcessGroup(barrier.Ranks, r, devices[r], tensors(devices[r]), handle, timeout, failure, barrier)),
        ];
        foreach (NcclProcessGroup group in groups) group.WaitUntilReady();
        return groups;
    }

    /// <summary>
    /// Returns the group of the processes that torchrun, Slurm or mpirun started (<see cref="LaunchEnvironment"/>), with a device each;
    /// rank 0 distributes NCCL's unique id (<see cref="UniqueIdExchange"/>).
    /// </summary>
    /// <param name="timeout">The time that a collective waits for the other ranks.</param>
    /// <param name="connectByMpi">Connects the processes that mpirun started, over which the unique id goes there.</param>
    /// <exception cref="InvalidOperationException">The launcher's variables or the secret are not set.</exception>
    /// <exception cref="DllNotFoundException">NCCL or CUDA is missing.</exception>
    public static NcclProcessGroup World(TimeSpan timeout, Func<TimeSpan, IProcessGroup> connectByMpi)
    {
        LaunchEnvironment launch = LaunchEnvironment.Read(Environment.GetEnvironmentVariable)
            ?? throw new InvalidOperationException("No launcher started this process: "
                + "RANK, WORLD_SIZE and LOCAL_RANK (torchrun), Slurm's variables and MASTER_ADDR, or mpirun's are not set.");
        if (!launch.IsMpi && launch.Folder is null) _ = Rendezvous.Secret(Environment.GetEnvironmentVariable);
        GpuLibraries.Require();
        CudaRuntime.Check(CudaRuntime.cudaSetDevice(launch.LocalRank));
        using var exchange = new UniqueIdExchange(launch, timeout, connectByMpi);
        byte[] bytes = exchange.Run(NewId);
        if (bytes.Length != UniqueId.Bytes)
            throw new ProcessGroupException($"Rank 0 sent {bytes.Length} bytes instead of NCCL's unique id.");
        UniqueId id;
        bytes.CopyTo(new Span<byte>(id.Internal, UniqueId.Bytes));
        nint handle;
        Config config = NonBlocking;
        Check(ncclCommInitRankConfig(&handle, launch.Size, id, launch.Rank, &config));
        RankStatus[] ranks = [.. Enumerable.Range(0, launch.Size).Select(r => new RankStatus(r))];
        var device = new Device(DeviceType.CUDA, launch.LocalRank);
        var group = new NcclProcessGroup(ranks, launch.Rank, launch.LocalRank, device, handle, timeout, new GroupFailure(), null);
        group.WaitUntilReady();
        return group;
    }

    private static byte[] NewId()
    {
        UniqueId id;
        Check(ncclGetUniqueId(&id));
        return new Span<byte>(id.Internal, UniqueId.Bytes).ToArray();
    }

    public void AllReduce(Tensor tensor) => Run(() => new CollectiveRequest(CollectiveCall.AllReduce(Own(tensor))), call =>
    {
        Tensor all = Flat(tensor);
        ForEachPiece(all, (start, count) =>
        {
            Tensor part = all.narrow(0, start, count), sum = Wide(part);
            void* data = NativeTensors.Data(sum);
            Call(call, handle => ncclAllReduce(data, data, (nuint)count, TypeOf(sum), Sum, handle, 0));
            if (sum.dtype != part.dtype) part.copy_(sum);
        });
    });

    public void ReduceScatter(Tensor input, Tensor output) =>
        Run(() => new CollectiveRequest(CollectiveCall.ReduceScatter(Own(input), Own(output), Rank, Size)), call =>
    {
        Tensor parts = input.view(Size, output.numel()), mine = Flat(output);
        ForEachPiece(mine, (start, count) =>
        {
            Tensor from = Wide(parts.narrow(1, start, count)).contiguous(), to = mine.narrow(0, start, count);
            Tensor sum = from.dtype == to.dtype ? to : empty(count, dtype: from.dtype, device: to.device);
            Call(call, handle =>
                ncclReduceScatter(NativeTensors.Data(from), NativeTensors.Data(sum), (nuint)count, TypeOf(sum), Sum, handle, 0));
            if (sum.dtype != to.dtype) to.copy_(sum);
        });
    });

    public void AllGather(Tensor input, Tensor output) =>
        Run(() => new CollectiveRequest(CollectiveCall.AllGather(Own(input), Own(output), Rank, Size)), call =>
    {
        if (input.numel() == 0) return;
        Call(call, handle =>
            ncclAllGather(NativeTensors.Data(input), NativeTensors.Data(output), (nuint)input.numel(), TypeOf(input), handle, 0));
    });

    public void AllToAll(Tensor input, IReadOnlyList<long> sent, Tensor output, IReadOnlyList<long> received)
    {
        CollectiveRequest Request() =>
            new(CollectiveCall.AllToAll(Own(input), sent, Own(output), received, Size)) { Sent = sent, Received = received };
        Run(Request, call =>
        {
            Tensor[] outgoing = RowsByRank(input, sent), incoming = RowsByRank(output, received);
            Call(call, handle =>
            {
                Check(ncclGroupStart());
                int first = Success;
                for (int r = 0; r < Size && first == Success; r++)
                {
                    (Tensor sending, Tensor receiving) = (outgoing[r], incoming[r]);
                    if (sending.numel() > 0)
                        first = ncclSend(NativeTensors.Data(sending), (nuint)sending.numel(), TypeOf(input), r, handle, 0);
                    if (first == Success && receiving.numel() > 0)
                        first = ncclRecv(NativeTensors.Data(receiving), (nuint)receiving.numel(), TypeOf(output), r, handle, 0);
                }
                int end = ncclGroupEnd();
                return first is Success or InProgress ? end : first;
            });
        });
    }

    public void Broadcast(Tensor tensor, int root) =>
        Run(() => new CollectiveRequest(CollectiveCall.Broadcast(Own(tensor), root, Size)), call =>
    {
        if (tensor.numel() == 0) return;
        void* data = NativeTensors.Data(tensor);
        Call(call, handle => ncclBroadcast(data, data, (nuint)tensor.numel(), TypeOf(tensor), root, handle, 0));
    });

    public void Barrier() => Run(() => new CollectiveRequest(new CollectiveCall(Collective.Barrier)), call =>
    {
        Tensor token = zeros(1, device: _tensors);
        void* data = NativeTensors.Data(token);
        Func<bool> done = Call(call, handle => ncclAllReduce(data, data, 1, TypeOf(token), Sum, handle, 0));
        for (var spin = new SpinWait(); !done() && !_failure.HasFailed;) spin.SpinOnce();        // the watching thread checks the time-out
        _failure.ThrowIfFailed(_ranks[Rank], _number, call);                                     // after an abort the device looks done
    });

    public IProcessGroup Split(int color)
    {
        NcclProcessGroup? part = null;
        Run(() => new CollectiveRequest(CollectiveCall.Split(color)) { Color = color }, call =>
        {
            // NCCL writes to it until the call is complete: after a failure it is not freed.
            var made = (nint*)NativeMemory.AllocZeroed((nuint)sizeof(nint));
            _communicator.Call(whole => ncclCommSplit(whole, color, Rank, made, null), call.ToString());
            nint handle = *made;
            NativeMemory.Free(made);
            if (_barrier is not null)
            {
                (RankBarrier barrier, int rank) = _barrier.SubgroupOf(Rank);
                part = new NcclProcessGroup(barrier.Ranks, rank, _device, _tensors, handle, Timeout, _failure, barrier);
                part.WaitUntilReady();
                return;
            }
            Check(ncclCommCount(handle, out int size));
            Check(ncclCommUserRank(handle, out int own));
            RankStatus[] ranks = [.. Enumerable.Repeat(_ranks[Rank], size)];
            part = new NcclProcessGroup(ranks, own, _device, _tensors, handle, Timeout, _failure, null);
            part.WaitUntilReady();
            Tensor number = tensor([(long)_ranks[Rank].Number], device: _tensors);
            Tensor numbers = zeros(size, dtype: ScalarType.Int64, device: _tensors);
            part.AllGather(number, numbers);
            part._ranks = [.. numbers.cpu().data<long>().Select(one => _ranks.First(status => status.Number == one))];
        });
        return part!;
    }

    public void Abort(Exception cause) => _failure.Fail(GroupFailure.DescribeAbort(_ranks[Rank], cause), cause);

    public void Dispose()
    {
        if (_disposed) return;
        _disposed = true;
        CudaRuntime.Check(CudaRuntime.cudaSetDevice(_device));
        _communicator.Dispose();
    }

    private void WaitUntilReady() => _communicator.WaitUntilReady($"the start of {_ranks[Rank]}");

    private void Run(Func<CollectiveRequest> request, Action<CollectiveCall> work)
    {
        ObjectDisposedException.ThrowIf(_disposed, this);
        _number++;
        CollectiveCall call = default;
        try
        {
            CollectiveRequest own = request();
            call = own.Call;
            CudaRuntime.Check(CudaRuntime.cudaSetDevice(_device));
            if (_barrier is null) _failure.ThrowIfFailed(_ranks[Rank], _number, call);
            else _barrier.Begin(Rank, _number, own);
            using IDisposable quiet = no_grad();
            using var scope = NewDisposeScope();
            work(call);
        }
        catch (Exception e) when (e is not ProcessGroupException)
        {
            Abort(e);
            if (e is ArgumentException) throw;
            _failure.ThrowIfFailed(_ranks[Rank], _number, call);
        }
    }

    /// <summary>
    /// Puts an operation into the stream and starts to watch it; returns a function that returns true once it is complete.
    /// </summary>
    private Func<bool> Call(CollectiveCall call, Func<nint, int> enqueue)
    {
        _communicator.Call(enqueue, call.ToString());
        return _communicator.Watch($"{_ranks[Rank]}, collective {_number}, {call}");
    }

    private static void ForEachPiece(Tensor tensor, Action<long, long> action) =>
        CollectiveTensors.ForEachPiece(
            tensor.numel(), tensor.dtype == ScalarType.BFloat16 ? WideElements : Math.Max(1, tensor.numel()), action);

    private Tensor Own(Tensor tensor) => tensor.device.type == _tensors.type && tensor.device.index == _tensors.index
        ? tensor : throw new ArgumentException($"NCCL takes this rank's tensors on {_tensors}, not on {tensor.device}.");

    /// <summary>Returns the tensor in the dtype of sums.</summary>
    private static Tensor Wide(Tensor tensor) => tensor.dtype == ScalarType.BFloat16 ? tensor.to(ScalarType.Float32) : tensor;

    /// <summary>ncclDataType_t.</summary>
    private static int TypeOf(Tensor tensor) => tensor.dtype switch
    {
        ScalarType.Int64 => 4,
        ScalarType.Float32 => 7,
        ScalarType.Float64 => 8,
        _ => 9,                                                                                  // ncclBfloat16
    };
}
