using System.Diagnostics;
using System.Runtime.InteropServices;
using TorchSharp;
using static DiffusionGemma.MpiLibrary;
using static DiffusionGemma.RankTensors;
using static TorchSharp.torch;

namespace DiffusionGemma;

/// <summary>
/// Ranks that are processes, on one machine or several, with Open MPI between them; tensors on the CPU. A program is started by
/// <c>mpirun -n 4 program</c> or <c>srun --mpi=pmix program</c>. Before data moves every rank tells the group's rank 0 what it calls, and goes on at its
/// word: two small messages a rank, and all have come and fit. The time-out bounds that, and again the movement itself.
/// <para>
/// MPI cannot take back what has been started: after a time-out, an error or a failure the group and its memory under way are left as they are, every later
/// collective throws, and the process's end (or <see cref="Abort"/>, after a short time in which the others may say the same) ends the job.
/// </para>
/// </summary>
internal sealed unsafe class MpiProcessGroup : IProcessGroup
{
    private const int PostTag = 1, GoTag = 2, DataTag = 3;

    /// <summary>How much longer than rank 0 of the group the others wait, so that it is the one who says who is missing.</summary>
    private static readonly TimeSpan Later = TimeSpan.FromSeconds(1);

    /// <summary>Looks before a wait gives the core away at each, and the time after which it sleeps between them where it waits for ranks to come.</summary>
    private const int Spins = 100;

    private static readonly TimeSpan Sleepless = TimeSpan.FromMilliseconds(20);

    /// <summary>Memory that MPI may still write to after a failure: it is never freed.</summary>
    private static readonly List<Tensor> Left = [];

    private readonly MpiWorld _world;
    private readonly IReadOnlyList<RankPlace> _ranks;
    private nint _communicator;
    private long _number;
    private (long, CollectiveCall)? _last;
    private CollectiveCall _call;
    private bool _disposed;

    private MpiProcessGroup(MpiWorld world, nint communicator, IReadOnlyList<RankPlace> ranks, int rank, TimeSpan timeout)
    {
        _world = world;
        _communicator = communicator;
        _ranks = ranks;
        Rank = rank;
        Timeout = timeout;
    }

    /// <summary>Whether mpirun or srun started this process.</summary>
    public static bool IsLaunched => MpiWorld.IsLaunched;

    public int Rank { get; }

    public int Size => _ranks.Count;

    public TimeSpan Timeout { get; }

    public string At
    {
        get => _ranks[Rank].At;
        set => _ranks[Rank].At = value;
    }

    /// <summary>Numbers that a rank sums at a time: as many of each rank are in memory beside the tensors. Smaller in tests.</summary>
    internal long Piece { get; init; } = 1 << 20;

    /// <summary>Numbers in a message, whose count has 32 bits. Smaller in tests.</summary>
    internal long MessageNumbers { get; init; } = 1 << 27;

    /// <summary>All processes of the job; starts MPI in this one, which ends it when it ends.</summary>
    /// <exception cref="InvalidOperationException">No launcher started this process.</exception>
    /// <exception cref="DllNotFoundException">Open MPI is not installed.</exception>
    public static MpiProcessGroup World(TimeSpan timeout)
    {
        if (!IsLaunched)
            throw new InvalidOperationException("This process has no ranks beside it (neither OMPI_COMM_WORLD_SIZE nor PMIX_RANK nor PMI_RANK is set): "
                + "start the program with mpirun -n RANKS or srun --mpi=pmix.");
        MpiWorld world = MpiWorld.Instance;
        return new MpiProcessGroup(world, world.Communicator, world.Ranks, world.Rank, timeout);
    }

    /// <summary>The same ranks, with other sizes of pieces.</summary>
    internal MpiProcessGroup InPieces(long piece, long message) => new(_world, _communicator, _ranks, Rank, Timeout) { Piece = piece, MessageNumbers = message };

    /// <remarks>As <see cref="ReduceScatter"/>, of parts of the tensor; then each rank's sum goes to all.</remarks>
    public void AllReduce(Tensor tensor) => Run(() => new CollectivePost(CollectiveCall.AllReduce(Cpu(tensor))), () =>
    {
        Tensor all = Flat(tensor);
        Pieces(all.numel(), Size * Piece, (start, count) =>
        {
            Tensor[] parts = [.. all.narrow(0, start, count).tensor_split(Size)];
            SumOfMine(parts, parts[Rank]);
            Exchange([.. Enumerable.Repeat(parts[Rank], Size)], parts);
        });
    });

    public void ReduceScatter(Tensor input, Tensor output) => Run(() => new CollectivePost(CollectiveCall.ReduceScatter(Cpu(input), Cpu(output), Rank, Size)), () =>
    {
        Tensor parts = input.view(Size, output.numel()), mine = Flat(output);
        Pieces(mine.numel(), Piece, (start, count) => SumOfMine([.. parts.narrow(1, start, count).unbind(0)], mine.narrow(0, start, count)));
    });

    public void AllGather(Tensor input, Tensor output) => Run(() => new CollectivePost(CollectiveCall.AllGather(Cpu(input), Cpu(output), Rank, Size)), () =>
    {
        Tensor mine = Flat(input);
        Tensor[] parts = [.. output.view(Size, mine.numel()).unbind(0)];
        Exchange([.. Enumerable.Repeat(mine, Size)], parts);
        if (NativeTensors.Data(mine) != NativeTensors.Data(parts[Rank])) parts[Rank].copy_(mine);
    });

    public void AllToAll(Tensor input, IReadOnlyList<long> sent, Tensor output, IReadOnlyList<long> received) =>
        Run(() => new CollectivePost(CollectiveCall.AllToAll(Cpu(input), sent, Cpu(output), received, Size)) { Sent = sent, Received = received }, () =>
    {
        Tensor[] outgoing = Rows(input, sent), incoming = Rows(output, received);
        Exchange(outgoing, incoming);
        incoming[Rank].copy_(outgoing[Rank]);
    });

    public void Broadcast(Tensor tensor, int root) => Run(() => new CollectivePost(CollectiveCall.Broadcast(Cpu(tensor), root, Size)), () =>
    {
        Tensor all = Flat(tensor);
        Pieces(all.numel(), MessageNumbers, (start, count) =>
        {
            Tensor part = all.narrow(0, start, count);
            Wait([part], (out nint request) => MPI_Ibcast(NativeTensors.Data(part), (int)count, TypeOf(part), root, _communicator, out request));
        });
    });

    public void Barrier() => Run(() => new CollectivePost(new CollectiveCall(Collective.Barrier)), () => { });

    public IProcessGroup Split(int color)
    {
        nint part = 0;
        int[] numbers = [];
        int rank = 0;
        Run(() => new CollectivePost(CollectiveCall.Split(color)), () =>
        {
            lock (Gate)
            {
                Check(MPI_Comm_split(_communicator, color, Rank, out part));                      // waits, and all have come
                Check(MPI_Comm_set_errhandler(part, Export("ompi_mpi_errors_return")));
                Check(MPI_Comm_size(part, out int size));
                Check(MPI_Comm_rank(part, out rank));
                numbers = new int[size];
            }
            numbers[rank] = _ranks[Rank].Number;
            fixed (int* data = numbers)
            {
                nint there = (nint)data;
                Wait([], (out nint request) => MPI_Iallgather(InPlace, 1, Export("ompi_mpi_int"), (void*)there, 1, Export("ompi_mpi_int"), part, out request));
            }
        });
        return new MpiProcessGroup(_world, part, [.. numbers.Select(number => _world.Ranks[number])], rank, Timeout);
    }

    public void Abort(Exception cause) => _world.Abort(cause);

    public void Dispose()
    {
        if (_disposed) return;
        _disposed = true;
        if (_communicator == _world.Communicator || _world.Failure.Failed) return;
        lock (Gate) _ = MPI_Comm_free(ref _communicator);
    }

    private void Run(Func<CollectivePost> describe, Action work)
    {
        ObjectDisposedException.ThrowIf(_disposed, this);
        _number++;
        try
        {
            CollectivePost post = describe();
            _call = post.Call;
            _world.Failure.ThrowIfFailed(_ranks[Rank], _number, _call);
            if (Rank == 0) Gather(post);
            else Report(post);
            _last = (_number, _call);
            using IDisposable quiet = no_grad();
            using var scope = NewDisposeScope();
            work();
        }
        catch (Exception e) when (e is not ProcessGroupException)
        {
            _world.Fail(GroupFailure.Aborted(_ranks[Rank], e), e);
            if (e is ArgumentException) throw;
            _world.Failure.ThrowIfFailed(_ranks[Rank], _number, _call);
        }
    }

    /// <summary>Rank 0: what all call; then the word to go on.</summary>
    private void Gather(CollectivePost mine)
    {
        var posts = new CollectivePost?[Size];
        posts[0] = mine;
        int came = 1;
        Until(() =>
        {
            while (came < Size && _world.TryReceive(_communicator, AnySource, PostTag, out Status status, out byte[] bytes))
            {
                (posts[status.Source], _ranks[status.Source].At) = CollectivePostBytes.Read(bytes);
                came++;
            }
            return came == Size;
        }, Timeout, () => GroupFailure.Late(Timeout, _ranks.Where((_, r) => posts[r] is null), _last), sleep: true);
        if (CollectivePost.Mismatch(_ranks, posts!) is { } mismatch) Fail(mismatch);
        var words = new MpiWorld.Message[Size - 1];
        lock (Gate)
        {
            for (int r = 1; r < Size; r++) words[r - 1] = _world.Send(_communicator, r, GoTag, []);
        }
        Finish(words);
    }

    /// <summary>The other ranks: what this one calls; returns at the word of rank 0.</summary>
    private void Report(CollectivePost mine)
    {
        MpiWorld.Message post;
        lock (Gate) post = _world.Send(_communicator, 0, PostTag, CollectivePostBytes.Write(mine, At));
        TimeSpan patience = Timeout == System.Threading.Timeout.InfiniteTimeSpan ? Timeout : Timeout + Later;
        Until(() => _world.TryReceive(_communicator, 0, GoTag, out _, out _), patience, () => GroupFailure.Late(Timeout, [_ranks[0]], _last), sleep: true);
        Finish([post]);
    }

    private void Finish(MpiWorld.Message[] messages)
    {
        Complete([.. messages.Select(message => message.Request)]);
        foreach (MpiWorld.Message message in messages) message.Free();
    }

    /// <summary>Starts operations and returns when they are complete. Where that does not happen, what they use is kept.</summary>
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
            lock (Left) Left.AddRange(used.Select(tensor => tensor.alias().DetachFromDisposeScope()));
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
    }, Timeout, () => $"within {Timeout.TotalSeconds:0.###} s {_ranks[Rank]} could not move its data, though all had come", sleep: false);

    /// <summary>Looks, and drives MPI on, until something is so; throws when the group fails or the time is over.</summary>
    /// <param name="so">What, looked at with <see cref="MpiLibrary.Gate"/> held.</param>
    /// <param name="timeout">From now.</param>
    /// <param name="late">What to say when the time is over.</param>
    /// <param name="sleep">Between looks once it takes long: not where data move, which they do only while somebody looks.</param>
    private void Until(Func<bool> so, TimeSpan timeout, Func<string> late, bool sleep)
    {
        long start = Stopwatch.GetTimestamp();
        for (int looks = 0; ; looks++)
        {
            lock (Gate)
            {
                if (so()) return;
                _world.ReadNews();
            }
            _world.Failure.ThrowIfFailed(_ranks[Rank], _number, _call);
            if (looks < Spins) continue;
            TimeSpan waited = Stopwatch.GetElapsedTime(start);
            if (timeout != System.Threading.Timeout.InfiniteTimeSpan && waited > timeout) Fail(late());
            if (sleep && waited > Sleepless) Thread.Sleep(1);
            else Thread.Yield();
        }
    }

    private void Fail(string message)
    {
        _world.Fail(message);
        _world.Failure.ThrowIfFailed(_ranks[Rank], _number, _call);
    }

    /// <summary>The sum, in the order of ranks, of what all ranks have as this rank's part.</summary>
    private void SumOfMine(Tensor[] parts, Tensor output)
    {
        Tensor[] inputs = [.. parts.Select((_, r) => r == Rank ? parts[r] : empty_like(parts[Rank]))];
        Exchange(parts, inputs);
        RankSum.Into([output], inputs);
    }

    /// <summary>Each rank sends every other one a tensor and gets one; those of this rank's own number are left alone.</summary>
    private void Exchange(Tensor[] outgoing, Tensor[] incoming)
    {
        var starts = new List<Start>();
        for (int step = 1; step < Size; step++)
        {
            (int from, int to) = ((Rank - step + Size) % Size, (Rank + step) % Size);             // nobody is everybody's first
            Pieces(incoming[from].numel(), MessageNumbers, (start, count) => starts.Add((out nint request) =>
                MPI_Irecv(NativeTensors.Data(incoming[from].narrow(0, start, count)), (int)count, TypeOf(incoming[from]), from, DataTag, _communicator, out request)));
            Pieces(outgoing[to].numel(), MessageNumbers, (start, count) => starts.Add((out nint request) =>
                MPI_Isend(NativeTensors.Data(outgoing[to].narrow(0, start, count)), (int)count, TypeOf(outgoing[to]), to, DataTag, _communicator, out request)));
        }
        Wait([.. outgoing, .. incoming], [.. starts]);
    }

    private static Tensor Cpu(Tensor tensor) =>
        tensor.device.type == DeviceType.CPU ? tensor : throw new ArgumentException($"MPI takes tensors on the CPU, not on {tensor.device}.");

    private static nint TypeOf(Tensor tensor) => Export(tensor.dtype switch
    {
        ScalarType.Float32 => "ompi_mpi_float",
        ScalarType.Float64 => "ompi_mpi_double",
        ScalarType.Int64 => "ompi_mpi_int64_t",
        _ => "ompi_mpi_uint16_t",                                                                // bfloat16, as bits
    });

    private delegate int Start(out nint request);
}
