using System.Diagnostics;
using System.Globalization;
using System.Runtime.InteropServices;
using System.Text;
using static DiffusionGemma.MpiLibrary;

namespace DiffusionGemma;

/// <summary>
/// MPI in this process, once: its start and its end, and the news of failures, which travel between all ranks on a communicator of their own. Whoever
/// waits in a collective looks for news, so a failure anywhere ends every wait.
/// </summary>
internal sealed unsafe class MpiWorld
{
    /// <summary>How long a process that failed leaves the others to say what they have to say before the job is ended.</summary>
    private static readonly TimeSpan Grace = TimeSpan.FromSeconds(2);

    private const int NewsTag = 1, LeavingTag = 2;

    private static readonly Lazy<MpiWorld> TheOne = new(() => new MpiWorld());

    private readonly nint _byte = Export("ompi_mpi_byte"), _news;
    private int _leaving, _ending;

    private MpiWorld()
    {
        lock (Gate)
        {
            Check(MPI_Init_thread(null, null, ThreadSerialized, out int provided));
            nint world = Export("ompi_mpi_comm_world");
            Check(MPI_Comm_size(world, out int size));
            Check(MPI_Comm_rank(world, out int rank));
            if (provided < ThreadSerialized) throw new NotSupportedException("This Open MPI was built without support for threads (MPI_THREAD_SERIALIZED).");
            if (LaunchedRanks is { } launched && launched != size)
                throw new InvalidOperationException(
                    $"The launcher started {launched} ranks and Open MPI sees {size}: the program that started this process is not of the Open MPI whose library was loaded.");
            Communicator = Copy(world);
            _news = Copy(world);
            Rank = rank;
            Ranks = [.. Enumerable.Range(0, size).Select(r => new RankPlace(r))];
        }
        AppDomain.CurrentDomain.ProcessExit += (_, _) => End();
    }

    /// <summary>Starts MPI where that has not happened.</summary>
    public static MpiWorld Instance => TheOne.Value;

    /// <summary>
    /// Whether the environment is that of a process which mpirun (OMPI_COMM_WORLD_SIZE) or srun with --mpi=pmix (PMIX_RANK) or --mpi=pmi2 (PMI_RANK) started.
    /// </summary>
    public static bool IsLaunched => new[] { "OMPI_COMM_WORLD_SIZE", "PMIX_RANK", "PMI_RANK" }.Any(name => Environment.GetEnvironmentVariable(name) is not null);

    public int Rank { get; }

    /// <summary>By number. Where the other ranks are is known as far as they have said.</summary>
    public IReadOnlyList<RankPlace> Ranks { get; }

    /// <summary>Of all ranks.</summary>
    public nint Communicator { get; }

    public GroupFailure Failure { get; } = new();

    /// <summary>As the launcher has it; null where it does not say.</summary>
    private static int? LaunchedRanks
    {
        get
        {
            string? size = Environment.GetEnvironmentVariable("OMPI_COMM_WORLD_SIZE") ?? Environment.GetEnvironmentVariable("PMI_SIZE")
                ?? (Environment.GetEnvironmentVariable("PMIX_RANK") is null ? null : Environment.GetEnvironmentVariable("SLURM_STEP_NUM_TASKS"));
            return int.TryParse(size, CultureInfo.InvariantCulture, out int ranks) ? ranks : null;
        }
    }

    /// <summary>Fails every group of every rank, where none has failed before.</summary>
    /// <returns>Whether this was the first failure here.</returns>
    public bool Fail(string message, Exception? cause = null)
    {
        if (!Failure.Fail(message, cause)) return false;
        Tell(NewsTag, $"{message}\0{(cause is null ? "" : $"{cause.GetType().Name}: {cause.Message}")}");
        return true;
    }

    /// <summary>Fails every group, says so on standard error, and ends the job when the others have had time to say the same.</summary>
    public void Abort(Exception cause)
    {
        try
        {
            string message = GroupFailure.Aborted(Ranks[Rank], cause);
            if (Fail(message, cause)) Console.Error.WriteLine(message);
        }
        finally
        {
            if (Interlocked.Exchange(ref _ending, 1) == 0) new Thread(EndJob) { IsBackground = true, Name = "end of the MPI job" }.Start();
        }
    }

    /// <summary>Takes the news that have come. To be called with <see cref="MpiLibrary.Gate"/> held.</summary>
    public void ReadNews()
    {
        while (TryReceive(_news, AnySource, AnyTag, out Status status, out byte[] bytes))
        {
            if (status.Tag == LeavingTag)
            {
                _leaving++;
                continue;
            }
            string[] told = Encoding.UTF8.GetString(bytes).Split('\0');
            Failure.Fail(told[0], told[1].Length == 0 ? null : new ProcessGroupException(told[1]));
        }
    }

    /// <summary>A message that has come, if one has. To be called with <see cref="MpiLibrary.Gate"/> held.</summary>
    public bool TryReceive(nint communicator, int from, int tag, out Status status, out byte[] bytes)
    {
        bytes = [];
        Check(MPI_Iprobe(from, tag, communicator, out int flag, out status));
        if (flag == 0) return false;
        Check(MPI_Get_count(status, _byte, out int count));
        bytes = new byte[count];
        fixed (byte* data = bytes) Check(MPI_Recv(data, count, _byte, status.Source, status.Tag, communicator, null));
        return true;
    }

    /// <summary>
    /// Starts to send; the bytes are copied, and their memory stays until the returned message is freed. To be called with <see cref="MpiLibrary.Gate"/> held.
    /// </summary>
    public Message Send(nint communicator, int to, int tag, ReadOnlySpan<byte> bytes)
    {
        void* memory = NativeMemory.Alloc((nuint)bytes.Length + 1);
        bytes.CopyTo(new Span<byte>(memory, bytes.Length));
        Check(MPI_Isend(memory, bytes.Length, _byte, to, tag, communicator, out nint request));
        return new Message(request, (nint)memory);
    }

    /// <summary>A communicator of its own for the same ranks, that returns errors.</summary>
    private static nint Copy(nint communicator)
    {
        Check(MPI_Comm_dup(communicator, out nint copy));
        Check(MPI_Comm_set_errhandler(copy, Export("ompi_mpi_errors_return")));
        return copy;
    }

    /// <summary>To all other ranks; the memory of the few such messages stays until the process ends. An error here cannot be helped any more.</summary>
    private void Tell(int tag, string text)
    {
        try
        {
            lock (Gate)
            {
                for (int r = 0; r < Ranks.Count; r++)
                {
                    if (r != Rank) Send(_news, r, tag, Encoding.UTF8.GetBytes(text));
                }
            }
        }
        catch (ExternalException e)
        {
            Console.Error.WriteLine($"{Ranks[Rank]} could not tell the others: {e.Message}");
        }
    }

    /// <summary>At the end of the process: the orderly end of MPI, which waits for all others to come to theirs, or the end of a job that has failed.</summary>
    private void End()
    {
        if (Environment.ExitCode != 0) Fail($"{Ranks[Rank]} ended with exit code {Environment.ExitCode}");
        if (!Failure.Failed)
        {
            lock (Gate) _ = MPI_Finalize();
            return;
        }
        Tell(LeavingTag, "");
        EndJob(this);
    }

    /// <summary>
    /// Ends all processes of the job when the grace is over; or none, where all are leaving before: a launcher counts processes that end without
    /// MPI_Finalize as failed, and this one returns with an exit code that says so.
    /// </summary>
    private void EndJob(object? leaving)
    {
        long start = Stopwatch.GetTimestamp();
        while (Stopwatch.GetElapsedTime(start) < Grace)
        {
            lock (Gate)
            {
                ReadNews();
                if (leaving is not null && _leaving == Ranks.Count - 1)
                {
                    if (Environment.ExitCode == 0) Environment.ExitCode = 1;
                    return;
                }
            }
            Thread.Sleep(1);
        }
        lock (Gate) _ = MPI_Abort(Communicator, 1);
    }

    /// <summary>One that is under way.</summary>
    public readonly record struct Message(nint Request, nint Memory)
    {
        public void Free() => NativeMemory.Free((void*)Memory);
    }
}
