using System.Diagnostics;
using System.Globalization;
using System.Runtime.InteropServices;
using System.Text;
using static DiffusionGemma.MpiLibrary;

namespace DiffusionGemma;

/// <summary>
/// MPI in this process: its start and end, and the messages about failures, which travel between all ranks on a communicator of their own.
/// A rank that waits in a collective reads them, so a failure anywhere ends every wait.
/// </summary>
internal sealed unsafe class MpiWorld
{
    /// <summary>The time that a process that failed gives the others to report the failure before it ends the job.</summary>
    private static readonly TimeSpan Grace = TimeSpan.FromSeconds(2);

    private const int FailureTag = 1, LeavingTag = 2;

    /// <summary>Static because MPI can be initialized only once a process.</summary>
    private static readonly Lazy<MpiWorld> LazyInstance = new(() => new MpiWorld());

    private readonly nint _byte = Export("ompi_mpi_byte"), _failures;
    private int _leaving, _ending;

    private MpiWorld()
    {
        lock (Gate)
        {
            Check(MPI_Init_thread(null, null, ThreadSerialized, out int provided));
            nint world = Export("ompi_mpi_comm_world");
            Check(MPI_Comm_size(world, out int size));
            Check(MPI_Comm_rank(world, out int rank));
            if (provided < ThreadSerialized)
                throw new NotSupportedException("This Open MPI was built without support for threads (MPI_THREAD_SERIALIZED).");
            if (LaunchedRanks is { } launched && launched != size)
                throw new InvalidOperationException(
                    $"The launcher started {launched} ranks and Open MPI sees {size}: "
                    + "the launcher belongs to another MPI than the library that was loaded.");
            Communicator = Copy(world);
            _failures = Copy(world);
            Rank = rank;
            Ranks = [.. Enumerable.Range(0, size).Select(r => new RankStatus(r))];
        }
        AppDomain.CurrentDomain.ProcessExit += (_, _) => End();
    }

    /// <summary>The one instance; starts MPI at the first use.</summary>
    public static MpiWorld Instance => LazyInstance.Value;

    /// <summary>
    /// True if the environment is that of a process started by mpirun (OMPI_COMM_WORLD_SIZE) or by srun with --mpi=pmix (PMIX_RANK) or
    /// --mpi=pmi2 (PMI_RANK).
    /// </summary>
    public static bool IsLaunched =>
        new[] { "OMPI_COMM_WORLD_SIZE", "PMIX_RANK", "PMI_RANK" }.Any(name => Environment.GetEnvironmentVariable(name) is not null);

    public int Rank { get; }

    /// <summary>All ranks by number. The activity of another rank is that of its last request.</summary>
    public IReadOnlyList<RankStatus> Ranks { get; }

    /// <summary>The communicator of all ranks.</summary>
    public nint Communicator { get; }

    public GroupFailure Failure { get; } = new();

    /// <summary>The number of ranks by the launcher's variables; null where none is set.</summary>
    private static int? LaunchedRanks
    {
        get
        {
            string? slurm = Environment.GetEnvironmentVariable("PMIX_RANK") is null
                ? null : Environment.GetEnvironmentVariable("SLURM_STEP_NUM_TASKS");
            string? size =
                Environment.GetEnvironmentVariable("OMPI_COMM_WORLD_SIZE") ?? Environment.GetEnvironmentVariable("PMI_SIZE") ?? slurm;
            return int.TryParse(size, CultureInfo.InvariantCulture, out int ranks) ? ranks : null;
        }
    }

    /// <summary>Fails every group of every rank, unless one has failed before.</summary>
    /// <returns>True for the first failure in this process.</returns>
    public bool Fail(string message, Exception? cause = null)
    {
        if (!Failure.Fail(message, cause)) return false;
        SendToAll(FailureTag, $"{message}\0{(cause is null ? "" : $"{cause.GetType().Name}: {cause.Message}")}");
        return true;
    }

    /// <summary>
    /// Fails every group, writes the message to standard error, and ends the job when the others have had time to do the same.
    /// </summary>
    public void Abort(Exception cause)
    {
        try
        {
            string message = GroupFailure.DescribeAbort(Ranks[Rank], cause);
            if (Fail(message, cause)) Console.Error.WriteLine(message);
        }
        finally
        {
            if (Interlocked.Exchange(ref _ending, 1) == 0) new Thread(EndJob) { IsBackground = true, Name = "end of the MPI job" }.Start();
        }
    }

    /// <summary>Receives the messages about failures that have arrived. To be called with <see cref="MpiLibrary.Gate"/> held.</summary>
    public void ReadFailures()
    {
        while (TryReceive(_failures, AnySource, AnyTag, out Status status, out byte[] bytes))
        {
            if (status.Tag == LeavingTag)
            {
                _leaving++;
                continue;
            }
            string[] parts = Encoding.UTF8.GetString(bytes).Split('\0');
            Failure.Fail(parts[0], parts[1].Length == 0 ? null : new ProcessGroupException(parts[1]));
        }
    }

    /// <summary>Receives a message if one has arrived. To be called with <see cref="MpiLibrary.Gate"/> held.</summary>
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
    /// Starts to send a copy of the bytes, whose memory stays until the returned message is freed. To be called with <see
    /// cref="MpiLibrary.Gate"/> held.
    /// </summary>
    public Message Send(nint communicator, int to, int tag, ReadOnlySpan<byte> bytes)
    {
        void* memory = NativeMemory.Alloc((nuint)bytes.Length + 1);
        bytes.CopyTo(new Span<byte>(memory, bytes.Length));
        Check(MPI_Isend(memory, bytes.Length, _byte, to, tag, communicator, out nint request));
        return new Message(request, (nint)memory);
    }

    /// <summary>Duplicates a communicator for the same ranks, with errors returned.</summary>
    private static nint Copy(nint communicator)
    {
        Check(MPI_Comm_dup(communicator, out nint copy));
        Check(MPI_Comm_set_errhandler(copy, Export("ompi_mpi_errors_return")));
        return copy;
    }

    /// <summary>
    /// Sends a text to all other ranks; the memory of these few messages is never freed. An error is only written to standard error: the
    /// job is ending.
    /// </summary>
    private void SendToAll(int tag, string text)
    {
        try
        {
            lock (Gate)
            {
                for (int r = 0; r < Ranks.Count; r++)
                {
                    if (r != Rank) Send(_failures, r, tag, Encoding.UTF8.GetBytes(text));
                }
            }
        }
        catch (ExternalException e)
        {
            Console.Error.WriteLine($"{Ranks[Rank]} could not report to the others: {e.Message}");
        }
    }

    /// <summary>Ends MPI at the end of the process: waits for all others to finalize too, or ends a job that has failed.</summary>
    private void End()
    {
        if (Environment.ExitCode != 0) Fail($"{Ranks[Rank]} ended with exit code {Environment.ExitCode}");
        if (!Failure.HasFailed)
        {
            lock (Gate) _ = MPI_Finalize();
            return;
        }
        SendToAll(LeavingTag, "");
        EndJob(this);
    }

    /// <summary>
    /// Ends all processes of the job when the grace is over, or none if all are leaving by themselves: a launcher counts a process that
    /// ends without MPI_Finalize as failed, and this one returns a failing exit code.
    /// </summary>
    private void EndJob(object? leaving)
    {
        long start = Stopwatch.GetTimestamp();
        while (Stopwatch.GetElapsedTime(start) < Grace)
        {
            lock (Gate)
            {
                ReadFailures();
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

    /// <summary>A message being sent.</summary>
    public readonly record struct Message(nint Request, nint Memory)
    {
        public void Free() => NativeMemory.Free((void*)Memory);
    }
}
