using System.Runtime.InteropServices;
using TorchSharp;
using static DiffusionGemma.NcclLibrary;
using static DiffusionGemma.RankTensors;
using static TorchSharp.torch;

namespace DiffusionGemma;

/// <summary>
/// Ranks that have a GPU each, with NCCL between them, on the stream that libtorch computes on: a collective returns when NCCL has taken it and is in order
/// with what comes before and after on the device; only a barrier waits for the device.
/// <para>
/// Ranks that are threads of one process compare what they call before NCCL sees it, as those of <see cref="InProcessGroup"/> do. Ranks that are processes do
/// not, for that would stop the device at every collective: there a mismatch, and a failure elsewhere, end by the time-out. That counts from the call, and is
/// seen by a thread which lets the device go; the numbers that the device had in work are then worthless, and the next collective throws. It must be
/// longer than the device's longest backlog.
/// </para>
/// </summary>
internal sealed unsafe class NcclProcessGroup : IProcessGroup
{
    /// <summary>Numbers of bfloat16 that are float32 at a time: 64 MiB.</summary>
    private const long WideNumbers = 1 << 24;

    private readonly Meeting? _meeting;
    private readonly GroupFailure _failure;
    private readonly NcclCommunicator _communicator;
    private readonly int _device;
    private readonly Device _tensors;
    private IReadOnlyList<RankPlace> _ranks;
    private long _number;
    private bool _disposed;

    private NcclProcessGroup(
        IReadOnlyList<RankPlace> ranks, int rank, int device, Device tensors, nint communicator, TimeSpan timeout, GroupFailure failure, Meeting? meeting)
    {
        (_ranks, Rank, _device, _tensors, Timeout, _failure, _meeting) = (ranks, rank, device, tensors, timeout, failure, meeting);
        _communicator = new NcclCommunicator(communicator, device, timeout, failure);
    }

    public int Rank { get; }

    public int Size => _ranks.Count;

    public TimeSpan Timeout { get; }

    public string At
    {
        get => _ranks[Rank].At;
        set => _ranks[Rank].At = value;
    }

    /// <summary>Ranks that are threads of this process: one handle for each, to be used and disposed by a thread each.</summary>
    /// <param name="devices">The CUDA device of each rank; no two the same.</param>
    /// <param name="timeout">Of each collective, and of each step of making the group.</param>
    /// <exception cref="DllNotFoundException">There is no NCCL or no CUDA.</exception>
    public static NcclProcessGroup[] Create(IReadOnlyList<int> devices, TimeSpan timeout) => Create(devices, device => new Device(DeviceType.CUDA, device), timeout);

    /// <param name="devices">As above.</param>
    /// <param name="tensors">Where the tensors of a device's rank are: elsewhere only in tests, whose NCCL is a stand-in.</param>
    /// <param name="timeout">As above.</param>
    internal static NcclProcessGroup[] Create(IReadOnlyList<int> devices, Func<int, Device> tensors, TimeSpan timeout)
    {
        if (devices.Count == 0 || devices.Any(device => device < 0) || devices.Distinct().Count() < devices.Count)
            throw new ArgumentException($"NCCL wants a device of its own for each rank, not {string.Join(", ", devices)}.", nameof(devices));
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
        var meeting = new Meeting([.. devices.Select((_, r) => new RankPlace(r))], timeout, failure);
        NcclProcessGroup[] groups =
            [.. handles.Select((handle, r) => new NcclProcessGroup(meeting.Ranks, r, devices[r], tensors(devices[r]), handle, timeout, failure, meeting))];
        foreach (NcclProcessGroup group in groups) group.Settle();
        return groups;
    }

    /// <summary>
    /// Ranks that are processes with a device each, as torchrun or Slurm started them (<see cref="LaunchEnvironment"/>); rank 0 hands NCCL's unique id out
    /// (<see cref="Rendezvous"/>).
    /// </summary>
    /// <exception cref="InvalidOperationException">The environment does not say which of several processes this is, or holds no secret.</exception>
    /// <exception cref="DllNotFoundException">There is no NCCL or no CUDA.</exception>
    public static NcclProcessGroup World(TimeSpan timeout)
    {
        LaunchEnvironment launch = LaunchEnvironment.Read(Environment.GetEnvironmentVariable)
            ?? throw new InvalidOperationException("No launcher has said which of several processes this is: "
                + "RANK, WORLD_SIZE and LOCAL_RANK (torchrun), or Slurm's variables and MASTER_ADDR, are not set.");
        byte[] secret = Rendezvous.Secret(Environment.GetEnvironmentVariable);
        GpuLibraries.Require();
        CudaRuntime.Check(CudaRuntime.cudaSetDevice(launch.LocalRank));
        UniqueId id;
        var bytes = new Span<byte>(id.Internal, UniqueId.Bytes);
        if (launch.Rank == 0)
        {
            using var rendezvous = Rendezvous.Listen(launch.Port);
            Check(ncclGetUniqueId(&id));
            rendezvous.Serve(bytes.ToArray(), launch.Size, secret, timeout);
        }
        else
        {
            byte[] fetched = Rendezvous.Fetch(launch.Address, launch.Port, launch.Rank, secret, timeout);
            if (fetched.Length != UniqueId.Bytes) throw new ProcessGroupException($"Rank 0 sent {fetched.Length} bytes in place of NCCL's unique id.");
            fetched.CopyTo(bytes);
        }
        nint handle;
        Config config = NonBlocking;
        Check(ncclCommInitRankConfig(&handle, launch.Size, id, launch.Rank, &config));
        var group = new NcclProcessGroup([.. Enumerable.Range(0, launch.Size).Select(r => new RankPlace(r))], launch.Rank, launch.LocalRank,
            new Device(DeviceType.CUDA, launch.LocalRank), handle, timeout, new GroupFailure(), null);
        group.Settle();
        return group;
    }

    public void AllReduce(Tensor tensor) => Run(() => new CollectivePost(CollectiveCall.AllReduce(Own(tensor))), call =>
    {
        Tensor all = Flat(tensor);
        Pieces(all, (start, count) =>
        {
            Tensor part = all.narrow(0, start, count), sum = Wide(part);
            void* data = NativeTensors.Data(sum);
            Call(call, handle => ncclAllReduce(data, data, (nuint)count, TypeOf(sum), Sum, handle, 0));
            if (sum.dtype != part.dtype) part.copy_(sum);
        });
    });

    public void ReduceScatter(Tensor input, Tensor output) => Run(() => new CollectivePost(CollectiveCall.ReduceScatter(Own(input), Own(output), Rank, Size)), call =>
    {
        Tensor parts = input.view(Size, output.numel()), mine = Flat(output);
        Pieces(mine, (start, count) =>
        {
            Tensor from = Wide(parts.narrow(1, start, count)).contiguous(), to = mine.narrow(0, start, count);
            Tensor sum = from.dtype == to.dtype ? to : empty(count, dtype: from.dtype, device: to.device);
            Call(call, handle => ncclReduceScatter(NativeTensors.Data(from), NativeTensors.Data(sum), (nuint)count, TypeOf(sum), Sum, handle, 0));
            if (sum.dtype != to.dtype) to.copy_(sum);
        });
    });

    public void AllGather(Tensor input, Tensor output) => Run(() => new CollectivePost(CollectiveCall.AllGather(Own(input), Own(output), Rank, Size)), call =>
    {
        if (input.numel() == 0) return;
        Call(call, handle => ncclAllGather(NativeTensors.Data(input), NativeTensors.Data(output), (nuint)input.numel(), TypeOf(input), handle, 0));
    });

    public void AllToAll(Tensor input, IReadOnlyList<long> sent, Tensor output, IReadOnlyList<long> received) =>
        Run(() => new CollectivePost(CollectiveCall.AllToAll(Own(input), sent, Own(output), received, Size)) { Sent = sent, Received = received }, call =>
    {
        Tensor[] outgoing = Rows(input, sent), incoming = Rows(output, received);
        Call(call, handle =>
        {
            Check(ncclGroupStart());
            int first = Success;
            for (int r = 0; r < Size && first == Success; r++)
            {
                if (outgoing[r].numel() > 0) first = ncclSend(NativeTensors.Data(outgoing[r]), (nuint)outgoing[r].numel(), TypeOf(input), r, handle, 0);
                if (first == Success && incoming[r].numel() > 0) first = ncclRecv(NativeTensors.Data(incoming[r]), (nuint)incoming[r].numel(), TypeOf(output), r, handle, 0);
            }
            int end = ncclGroupEnd();
            return first is Success or InProgress ? end : first;
        });
    });

    public void Broadcast(Tensor tensor, int root) => Run(() => new CollectivePost(CollectiveCall.Broadcast(Own(tensor), root, Size)), call =>
    {
        if (tensor.numel() == 0) return;
        void* data = NativeTensors.Data(tensor);
        Call(call, handle => ncclBroadcast(data, data, (nuint)tensor.numel(), TypeOf(tensor), root, handle, 0));
    });

    public void Barrier() => Run(() => new CollectivePost(new CollectiveCall(Collective.Barrier)), call =>
    {
        Tensor token = zeros(1, device: _tensors);
        void* data = NativeTensors.Data(token);
        Func<bool> done = Call(call, handle => ncclAllReduce(data, data, 1, TypeOf(token), Sum, handle, 0));
        for (var spin = new SpinWait(); !done() && !_failure.Failed;) spin.SpinOnce();            // the watching thread counts the time
        _failure.ThrowIfFailed(_ranks[Rank], _number, call);                                     // a device that was let go looks as if it were done
    });

    public IProcessGroup Split(int color)
    {
        NcclProcessGroup? part = null;
        Run(() => new CollectivePost(CollectiveCall.Split(color)) { Color = color }, call =>
        {
            var made = (nint*)NativeMemory.AllocZeroed((nuint)sizeof(nint));                      // NCCL writes to it until the call is complete: after a failure it stays
            _communicator.Call(whole => ncclCommSplit(whole, color, Rank, made, null), call.ToString());
            nint handle = *made;
            NativeMemory.Free(made);
            if (_meeting is not null)
            {
                (Meeting met, int rank) = _meeting.PartOf(Rank);
                part = new NcclProcessGroup(met.Ranks, rank, _device, _tensors, handle, Timeout, _failure, met);
                part.Settle();
                return;
            }
            Check(ncclCommCount(handle, out int size));
            Check(ncclCommUserRank(handle, out int own));
            part = new NcclProcessGroup([.. Enumerable.Repeat(_ranks[Rank], size)], own, _device, _tensors, handle, Timeout, _failure, null);
            part.Settle();
            Tensor number = tensor([(long)_ranks[Rank].Number], device: _tensors), numbers = zeros(size, dtype: ScalarType.Int64, device: _tensors);
            part.AllGather(number, numbers);
            part._ranks = [.. numbers.cpu().data<long>().Select(one => _ranks.First(place => place.Number == one))];
        });
        return part!;
    }

    public void Abort(Exception cause) => _failure.Fail(GroupFailure.Aborted(_ranks[Rank], cause), cause);

    public void Dispose()
    {
        if (_disposed) return;
        _disposed = true;
        CudaRuntime.Check(CudaRuntime.cudaSetDevice(_device));
        _communicator.Dispose();
    }

    private void Settle() => _communicator.Settle($"the start of {_ranks[Rank]}");

    private void Run(Func<CollectivePost> describe, Action<CollectiveCall> work)
    {
        ObjectDisposedException.ThrowIf(_disposed, this);
        _number++;
        CollectiveCall call = default;
        try
        {
            CollectivePost post = describe();
            call = post.Call;
            CudaRuntime.Check(CudaRuntime.cudaSetDevice(_device));
            if (_meeting is null) _failure.ThrowIfFailed(_ranks[Rank], _number, call);
            else _meeting.Begin(Rank, _number, post);
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

    /// <summary>Puts an operation into the stream, and its time under watch.</summary>
    private Func<bool> Call(CollectiveCall call, Func<nint, int> enqueue)
    {
        _communicator.Call(enqueue, call.ToString());
        return _communicator.Enqueued($"{_ranks[Rank]}, collective {_number}, {call}");
    }

    private static void Pieces(Tensor tensor, Action<long, long> piece) =>
        RankTensors.Pieces(tensor.numel(), tensor.dtype == ScalarType.BFloat16 ? WideNumbers : Math.Max(1, tensor.numel()), piece);

    private Tensor Own(Tensor tensor) => tensor.device.type == _tensors.type && tensor.device.index == _tensors.index
        ? tensor : throw new ArgumentException($"NCCL takes this rank's tensors on {_tensors}, not on {tensor.device}.");

    /// <summary>In the type that sums are made in.</summary>
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
