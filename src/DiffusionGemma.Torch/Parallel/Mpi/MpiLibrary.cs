using System.Runtime.InteropServices;
using System.Text;

namespace DiffusionGemma;

/// <summary>
/// The functions of Open MPI 4 (libmpi.so.40) in use, all of the MPI 3.1 standard. Handles are pointers; the predefined ones are addresses
/// of objects that the library exports (mpi.h: <c>#define MPI_COMM_WORLD OMPI_PREDEFINED_GLOBAL(MPI_Comm, ompi_mpi_comm_world)</c>).
/// Constants are those of its mpi.h.
/// </summary>
internal static unsafe partial class MpiLibrary
{
    public const int AnySource = -1, AnyTag = -1, ThreadSerialized = 2;

    private const string Name = "libmpi.so.40";

    private const int Success = 0, ErrorStringLength = 256;

    private static readonly Lazy<nint> Loaded = new(Load);

    /// <summary>MPI_IN_PLACE.</summary>
    public static void* InPlace => (void*)1;

    /// <summary>
    /// Held during every call but the first and the last: the library need not support calls from two threads at once, and no call here
    /// waits.
    /// </summary>
    public static Lock Gate { get; } = new();

    /// <summary>Returns the address of a predefined object.</summary>
    /// <exception cref="DllNotFoundException">Open MPI is missing; says what to install.</exception>
    public static nint Export(string name) => NativeLibrary.GetExport(Loaded.Value, name);

    /// <summary>Throws an exception with the library's message for an error code.</summary>
    public static void Check(int code)
    {
        if (code == Success) return;
        byte* text = stackalloc byte[ErrorStringLength];
        string message = MPI_Error_string(code, text, out int length) == Success ? Encoding.UTF8.GetString(text, length) : "no text";
        throw new ExternalException($"MPI error {code}: {message}", code);
    }

    private static nint Load()
    {
        if (OperatingSystem.IsLinux() && NativeLibrary.TryLoad(Name, out nint library)) return library;
        throw new DllNotFoundException(
            $"Several CPU processes need Open MPI 4, and {Name} cannot be loaded: "
            + "install openmpi-bin and libopenmpi3 (Debian, Ubuntu) or openmpi (Fedora), "
            + "or put the folder of the library into LD_LIBRARY_PATH.");
    }

    [LibraryImport(Name)]
    public static partial int MPI_Init_thread(int* argc, byte*** argv, int required, out int provided);

    [LibraryImport(Name)]
    public static partial int MPI_Finalize();

    [LibraryImport(Name)]
    public static partial int MPI_Abort(nint comm, int code);

    [LibraryImport(Name)]
    private static partial int MPI_Error_string(int code, byte* text, out int length);

    [LibraryImport(Name)]
    public static partial int MPI_Comm_size(nint comm, out int size);

    [LibraryImport(Name)]
    public static partial int MPI_Comm_rank(nint comm, out int rank);

    [LibraryImport(Name)]
    public static partial int MPI_Comm_dup(nint comm, out nint copy);

    [LibraryImport(Name)]
    public static partial int MPI_Comm_split(nint comm, int color, int key, out nint part);

    [LibraryImport(Name)]
    public static partial int MPI_Comm_free(ref nint comm);

    [LibraryImport(Name)]
    public static partial int MPI_Comm_set_errhandler(nint comm, nint handler);

    [LibraryImport(Name)]
    public static partial int MPI_Isend(void* data, int count, nint type, int to, int tag, nint comm, out nint request);

    [LibraryImport(Name)]
    public static partial int MPI_Irecv(void* data, int count, nint type, int from, int tag, nint comm, out nint request);

    [LibraryImport(Name)]
    public static partial int MPI_Recv(void* data, int count, nint type, int from, int tag, nint comm, Status* status);

    [LibraryImport(Name)]
    public static partial int MPI_Iprobe(int from, int tag, nint comm, out int flag, out Status status);

    [LibraryImport(Name)]
    public static partial int MPI_Get_count(in Status status, nint type, out int count);

    [LibraryImport(Name)]
    public static partial int MPI_Testall(int count, nint* requests, out int flag, Status* statuses);

    [LibraryImport(Name)]
    public static partial int MPI_Iallgather(
        void* input, int sent, nint sentType, void* output, int received, nint receivedType, nint comm, out nint request);

    [LibraryImport(Name)]
    public static partial int MPI_Ibcast(void* data, int count, nint type, int root, nint comm, out nint request);

    /// <summary>MPI_Status of Open MPI's mpi.h.</summary>
    [StructLayout(LayoutKind.Sequential)]
    public readonly struct Status
    {
        public readonly int Source, Tag;
        private readonly int _error, _cancelled;
        private readonly nuint _count;
    }
}
