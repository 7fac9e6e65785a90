using System.Diagnostics;
using TorchSharp;
using static DiffusionGemma.CollectiveTensors;
using static DiffusionGemma.MpiLibrary;
using static TorchSharp.torch;

namespace DiffusionGemma;

/// <summary>
/// A process group whose ranks are processes, on one machine or several, with Open MPI between them; tensors on the CPU. A program is
/// started by <c>mpirun -n 4 program</c> or <c>srun --mpi=pmix program</c>. Before data moves every rank sends its request to the group's
/// rank 0 and waits for the reply that all have arrived with matching requests: two small messages a rank. The time-out bounds that
/// exchange, and again the transfer of data.
/// <para>
/// MPI cannot cancel an operation under way: after a time-out, an error or a failure the group and the memory in use are left as they are,
/// every later collective throws, and the process's end (or <see cref="Abort"/>, after a short time in which the others may report the
/// failure) ends the job.
/// </para>
/// </summary>
internal sealed unsafe class MpiProcessGroup : IProcessGroup
{
    private const int RequestTag = 1, ReplyTag = 2, DataTag = 3;

    /// <summary>Time that the other ranks wait longer than rank 0 of the group, because only rank 0 can name the missing ranks.</summary>
    private static readonly TimeSpan ExtraWait = TimeSpan.FromSeconds(1);

    /// <summary>Polls before a wait yields the core at each.</summary>
    private const int Spins = 100;

    /// <summary>The time after which a wait for other ranks sleeps between polls.</summary>
    private static readonly TimeSpan SleepAfter = TimeSpan.FromMilliseconds(20);

    /// <summary>Tensors that MPI may still write to after a failure; static because they must live as long as the process.</summary>
    private static readonly List<Tensor> Abandoned = [];

    private readonly MpiWorld _world;
    private readonly IReadOnlyList<RankStatus> _ranks;
    private nint _communicator;
    private long _number;
    private (long, CollectiveCall)? _last;
    private CollectiveCall _call;
    private bool _disposed;

    private MpiProcessGroup(MpiWorld world, nint communicator, IReadOnlyList<RankStatus> ranks, int rank, TimeSpan timeout)
    {
        _world = world;
        _communicator = communicator;
        _ranks = ranks;
        Rank = rank;
        Timeout = timeout;
    }

    /// <summary>True if mpirun or srun started this process.</summary>
    public static bool IsLaunched => MpiWorld.IsLaunched;

    public int Rank { get; }

    public int Size => _ranks.Count;

    public TimeSpan Timeout { get; }

    public string Activity
    {
        get => _ranks[Rank].Activity;
        set => _ranks[Rank].Activity = value;
    }

    /// <summary>
    /// Elements that a rank sums at a time: a buffer of this size for each rank is in memory beside the tensors. Smaller in tests.
    /// </summary>
    internal long PieceElements { get; init; } = 1 << 20;

    /// <summary>The most elements of a message, whose count has 32 bits. Smaller in tests.</summary>
    internal long MessageElements { get; init; } = 1 << 27;

    /// <summary>Returns the group of all processes of the job; starts MPI in this one, which finalizes it at its end.</summary>
    /// <exception cref="InvalidOperationException">No launcher started this process.</exception>
    /// <exception cref="DllNotFoundException">Open MPI is not installed.</exception>
    public static MpiProcessGroup World(TimeSpan timeout)
    {
        if (!IsLaunched)
            throw new InvalidOperationException(
                "No launcher started this process (neither OMPI_COMM_WORLD_SIZE nor PMIX_RANK nor PMI_RANK is set): "
                + "start the program with mpirun -n RANKS or srun --mpi=pmix.");
        MpiWorld world = MpiWorld.Instance;
        return new MpiProcessGroup(world, world.Communicator, world.Ranks, world.Rank, timeout);
    }

    /// <summary>Returns a group of the same ranks with other sizes of pieces and messages.</summary>
    internal MpiProcessGroup WithSizes(long pieceElements, long messageElements) =>
        new(_world, _communicator, _ranks, Rank, Timeout) { PieceElements = pieceElements, MessageElements = messageElements };

    /// <remarks>Each rank sums its part of the tensor, as in <see cref="ReduceScatter"/>, and sends the sum to all.</remarks>
    public void AllReduce(Tensor tensor) => Run(() => new CollectiveRequest(CollectiveCall.AllReduce(Cpu(tensor))), () =>
    {
        Tensor all = Flat(tensor);
        ForEachPiece(all.numel(), Size * PieceElements, (start, count) =>
        {
            Tensor[] parts = [.. all.narrow(0, start, count).tensor_split(Size)];
            SumOwnPart(parts, parts[Rank]);
            Exchange([.. Enumerable.Repeat(parts[Rank], Size)], parts);
        });
    });

    public void ReduceScatter(Tensor input, Tensor output) =>
        Run(() => new CollectiveRequest(CollectiveCall.ReduceScatter(Cpu(input), Cpu(output), Rank, Size)), () =>
    {
        Tensor parts = input.view(Size, output.numel()), mine = Flat(output);
        ForEachPiece(mine.numel(), PieceElements, (start, count) =>
            SumOwnPart([.. parts.narrow(1, start, count).unbind(0)], mine.narrow(0, start, count)));
    });

    public void AllGather(Tensor input, Tensor output) =>
        Run(() => new CollectiveRequest(CollectiveCall.AllGather(Cpu(input), Cpu(output), Rank, Size)), () =>
    {
        Tensor mine = Flat(input);
        Tensor[] parts = [.. output.view(Size, mine.numel()).unbind(0)];
        Exchange([.. Enumerable.Repeat(mine, Size)], parts);
        if (NativeTensors.Data(mine) != NativeTensors.Data(parts[Rank])) parts[Rank].copy_(mine);
    });

    public void AllToAll(Tensor input, IReadOnlyList<long> sent, Tensor output, IReadOnlyList<long> received)
    {
        CollectiveRequest Request() =>
            new(CollectiveCall.AllToAll(Cpu(input), sent, Cpu(output), received, Size)) { Sent = sent, Received = received };
        Run(Request, () =>
        {
            Tensor[] outgoing = RowsByRank(input, sent), incoming = RowsByRank(output, received);
            Exchange(outgoing, incoming);
            incoming[Rank].copy_(outgoing[Rank]);
        });
    }

    public void Broadcast(Tensor tensor, int root) =>
        Run(() => new CollectiveRequest(CollectiveCall.Broadcast(Cpu(tensor), root, Size)), () =>
    {
        Tensor all = Flat(tensor);
        ForEachPiece(all.numel(), MessageElements, (start, count) =>
        {
            Tensor part = all.narrow(0, start, count);
            Wait([part], (out nint request) =>
                MPI_Ibcast(NativeTensors.Data(part), (int)count, TypeOf(part), root, _communicator, out request));
        });
    });

    public void Barrier() => Run(() => new CollectiveRequest(new CollectiveCall(Collective.Barrier)), () => { });

    public IProcessGroup Split(int color)
    {
        nint part = 0;
        int[] numbers = [];
        int rank = 0;
        Run(() => new CollectiveRequest(CollectiveCall.Split(color)), () =>
        {
            lock (Gate)
            {
                Check(MPI_Comm_split(_communicator, color, Rank, out part));                     // blocks, but all ranks have arrived
                Check(MPI_Comm_set_errhandler(part, Export("ompi_mpi_errors_return")));
                Check(MPI_Comm_size(part, out int size));
                Check(MPI_Comm_rank(part, out rank));
                numbers = new int[size];
            }
            numbers[rank] = _ranks[Rank].Number;
            fixed (int* data = numbers)
            {
                nint output = (nint)data, type = Export("ompi_mpi_int");
                Wait([], (out nint request) => MPI_Iallgather(InPlace, 1, type, (void*)output, 1, type, part, out request));
            }
        });
        return new MpiProcessGroup(_world, part, [.. numbers.Select(number => _world.Ranks[number])], rank, Timeout);
    }

    public void Abort(Exception cause) => _world.Abort(cause);

    public void Dispose()
    {
        if (_disposed) return;
        _disposed = true;
        if (_communicator == _world.Communicator || _world.Failure.HasFailed) return;
        lock (Gate) _ = MPI_Comm_free(ref _communicator);
    }

    private void Run(Func<CollectiveRequest> request, Action work)
    {
        ObjectDisposedException.ThrowIf(_disposed, this);
        _number++;
        try
        {
            CollectiveRequest own = request();
            _call = own.Call;
            _world.Failure.ThrowIfFailed(_ranks[Rank], _number, _call);
            if (Rank == 0) GatherRequests(own);
            else SendRequest(own);
            _last = (_number, _call);
            using IDisposable quiet = no_grad();
            using var scope = NewDisposeScope();
            work();
        }
        catch (Exception e) when (e is not ProcessGroupException)
        {
            _world.Fail(GroupFailure.DescribeAbort(_ranks[Rank], e), e);
            if (e is ArgumentException) throw;
            _world.Failure.ThrowIfFailed(_ranks[Rank], _number, _call);
        }
    }

    /// <summary>Rank 0: receives and compares the requests of all ranks, then sends the replies.</summary>
    private void GatherRequests(CollectiveRequest own)
    {
        var requests = new CollectiveRequest?[Size];
        requests[0] = own;
        int arrived = 1;
        Until(() =>
        {
            while (arrived < Size && _world.TryReceive(_communicator, AnySource, RequestTag, out Status status, out byte[] bytes))
            {
                (requests[status.Source], _ranks[status.Source].Activity) = CollectiveRequestBytes.Read(bytes);
                arrived++;
            }
            return arrived == Size;
        }, Timeout, () => GroupFailure.DescribeTimeout(Timeout, _ranks.Where((_, r) => requests[r] is null), _last), sleep: true);
        if (CollectiveRequest.FindMismatch(_ranks, requests!) is { } mismatch) Fail(mismatch);
        var replies = new MpiWorld.Message[Size - 1];
        lock (Gate)
        {
            for (int r = 1; r < Size; r++) replies[r - 1] = _world.Send(_communicator, r, ReplyTag, []);
        }
        Finish(replies);
    }

    /// <summary>The other ranks: sends this rank's request and returns at the reply of rank 0.</summary>
    private void SendRequest(CollectiveRequest own)
    {
        MpiWorld.Message request;
        lock (Gate) request = _world.Send(_communicator, 0, RequestTag, CollectiveRequestBytes.Write(own, Activity));
        TimeSpan timeout = Timeout == System.Threading.Timeout.InfiniteTimeSpan ? Timeout : Timeout + ExtraWait;
        Until(
            () => _world.TryReceive(_communicator, 0, ReplyTag, out _, out _), timeout,
            () => GroupFailure.DescribeTimeout(Timeout, [_ranks[0]], _last), sleep: true);
        Finish([request]);
    }

    private void Finish(MpiWorld.Message[] messages)
    {
        Complete([.. messages.Select(message => message.Request)]);
        foreach (MpiWorld.Message message in messages) message.Free();
    }

    /// <summary>Starts operations and returns when they are complete. If that fails, the tensors that they use are never freed.</summary>
    private void Wait(Tensor[] used, params Start[] starts)
    {
        var requests = new nint[starts.Length];
        try
        {
            lock (Gate)
            {
                for (int n = 0; n < starts.Length; n++) Check(starts[n](out requests[n]));
            }
            Complete(requests);
        }
        catch
        {
            lock (Abandoned) Abandoned.AddRange(used.Select(tensor => tensor.alias().DetachFromDisposeScope()));
            throw;
        }
    }

    private void Complete(nint[] requests) => Until(() =>
    {
        fixed (nint* all = requests)
        {
            Check(MPI_Testall(requests.Length, all, out int flag, null));
            return flag != 0;
        }
    }, Timeout, () => $"{_ranks[Rank]} could not transfer its data within {Timeout.TotalSeconds:0.###} s after all arrived", sleep: false);

    /// <summary>
    /// Polls a condition, which also makes MPI progress, until it is true; throws when the group fails or the time is over.
    /// </summary>
    /// <param name="condition">Called with <see cref="MpiLibrary.Gate"/> held.</param>
    /// <param name="timeout">From now.</param>
    /// <param name="describeTimeout">Returns the message of a time-out.</param>
    /// <param name="sleep">True to sleep between polls after a while; false while data are transferred, which needs the polls.</param>
    private void Until(Func<bool> condition, TimeSpan timeout, Func<string> describeTimeout, bool sleep)
    {
        long start = Stopwatch.GetTimestamp();
        for (int polls = 0; ; polls++)
        {
            lock (Gate)
            {
                if (condition()) return;
                _world.ReadFailures();
            }
            _world.Failure.ThrowIfFailed(_ranks[Rank], _number, _call);
            if (polls < Spins) continue;
            TimeSpan waited = Stopwatch.GetElapsedTime(start);
            if (timeout != System.Threading.Timeout.InfiniteTimeSpan && waited > timeout) Fail(describeTimeout());
            if (sleep && waited > SleepAfter) Thread.Sleep(1);
            else Thread.Yield();
        }
    }

    private void Fail(string message)
    {
        _world.Fail(message);
        _world.Failure.ThrowIfFailed(_ranks[Rank], _number, _call);
    }

    /// <summary>Writes the sum, in the order of ranks, of all ranks' tensors for this rank's part.</summary>
    private void SumOwnPart(Tensor[] parts, Tensor output)
    {
        Tensor[] inputs = [.. parts.Select((_, r) => r == Rank ? parts[r] : empty_like(parts[Rank]))];
        Exchange(parts, inputs);
        RankSum.WriteTo([output], inputs);
    }

    /// <summary>Sends a tensor to every other rank and receives one from each; entries of this rank's own number are ignored.</summary>
    private void Exchange(Tensor[] outgoing, Tensor[] incoming)
    {
        var starts = new List<Start>();
        for (int step = 1; step < Size; step++)
        {
            (int from, int to) = ((Rank - step + Size) % Size, (Rank + step) % Size);            // each rank starts with another partner
            Tensor received = incoming[from], sent = outgoing[to];
            ForEachPiece(received.numel(), MessageElements, (start, count) => starts.Add((out nint request) => MPI_Irecv(
                NativeTensors.Data(received.narrow(0, start, count)), (int)count, TypeOf(received), from, DataTag, _communicator,
                out request)));
            ForEachPiece(sent.numel(), MessageElements, (start, count) => starts.Add((out nint request) => MPI_Isend(
                NativeTensors.Data(sent.narrow(0, start, count)), (int)count, TypeOf(sent), to, DataTag, _communicator,
                out request)));
        }
        Wait([.. outgoing, .. incoming], [.. starts]);
    }

    private static Tensor Cpu(Tensor tensor) =>
        tensor.device.type == DeviceType.CPU ? tensor
            : throw new ArgumentException($"MPI takes tensors on the CPU, not on {tensor.device}.");

    private static nint TypeOf(Tensor tensor) => Export(tensor.dtype switch
    {
        ScalarType.Float32 => "ompi_mpi_float",
        ScalarType.Float64 => "ompi_mpi_double",
        ScalarType.Int64 => "ompi_mpi_int64_t",
        _ => "ompi_mpi_uint16_t",                                                                // bfloat16, as bits
    });

    private delegate int Start(out nint request);
}
