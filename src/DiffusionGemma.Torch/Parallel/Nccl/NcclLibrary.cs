using System.Runtime.InteropServices;

namespace DiffusionGemma;

/// <summary>The functions of NCCL in use, as its nccl.h of version 2.19 declares them; later versions take the same calls.</summary>
internal static unsafe partial class NcclLibrary
{
    public const int Success = 0, InProgress = 7, Sum = 0;

    private const int Undefined = int.MinValue, Version = 21900;

    /// <summary>NCCL_CONFIG_INITIALIZER of version 2.19 for non-blocking calls.</summary>
    public static Config NonBlocking => new()
    {
        Size = (nuint)sizeof(Config), Magic = 0xcafebeef, DeclaredVersion = Version, Blocking = 0,
        ClusterSize = Undefined, LeastBlocks = Undefined, MostBlocks = Undefined, Network = 0, SplitShare = Undefined,
    };

    public static string Describe(int code) => $"NCCL error {code}: {Marshal.PtrToStringUTF8(ncclGetErrorString(code))}";

    public static void Check(int code)
    {
        if (code is not Success and not InProgress) throw new ExternalException(Describe(code), code);
    }

    [LibraryImport(GpuLibraries.Nccl)]
    private static partial nint ncclGetErrorString(int code);

    [LibraryImport(GpuLibraries.Nccl)]
    public static partial int ncclGetUniqueId(UniqueId* id);

    [LibraryImport(GpuLibraries.Nccl)]
    public static partial int ncclCommInitRankConfig(nint* communicator, int ranks, UniqueId id, int rank, Config* config);

    [LibraryImport(GpuLibraries.Nccl)]
    public static partial int ncclCommSplit(nint communicator, int color, int key, nint* part, Config* config);

    [LibraryImport(GpuLibraries.Nccl)]
    public static partial int ncclCommCount(nint communicator, out int ranks);

    [LibraryImport(GpuLibraries.Nccl)]
    public static partial int ncclCommUserRank(nint communicator, out int rank);

    [LibraryImport(GpuLibraries.Nccl)]
    public static partial int ncclCommGetAsyncError(nint communicator, out int state);

    [LibraryImport(GpuLibraries.Nccl)]
    public static partial int ncclCommFinalize(nint communicator);

    [LibraryImport(GpuLibraries.Nccl)]
    public static partial int ncclCommDestroy(nint communicator);

    [LibraryImport(GpuLibraries.Nccl)]
    public static partial int ncclCommAbort(nint communicator);

    [LibraryImport(GpuLibraries.Nccl)]
    public static partial int ncclGroupStart();

    [LibraryImport(GpuLibraries.Nccl)]
    public static partial int ncclGroupEnd();

    [LibraryImport(GpuLibraries.Nccl)]
    public static partial int ncclAllReduce(
        void* input, void* output, nuint count, int type, int operation, nint communicator, nint stream);

    [LibraryImport(GpuLibraries.Nccl)]
    public static partial int ncclReduceScatter(
        void* input, void* output, nuint count, int type, int operation, nint communicator, nint stream);

    [LibraryImport(GpuLibraries.Nccl)]
    public static partial int ncclAllGather(void* input, void* output, nuint count, int type, nint communicator, nint stream);

    [LibraryImport(GpuLibraries.Nccl)]
    public static partial int ncclBroadcast(void* input, void* output, nuint count, int type, int root, nint communicator, nint stream);

    [LibraryImport(GpuLibraries.Nccl)]
    public static partial int ncclSend(void* data, nuint count, int type, int to, nint communicator, nint stream);

    [LibraryImport(GpuLibraries.Nccl)]
    public static partial int ncclRecv(void* data, nuint count, int type, int from, nint communicator, nint stream);

    /// <summary>ncclUniqueId.</summary>
    public struct UniqueId
    {
        public const int Bytes = 128;

        public fixed byte Internal[Bytes];
    }

    /// <summary>
    /// ncclConfig_t as of 2.19 (ncclConfig_v21700); a newer library sets its further fields to defaults by the size and version given.
    /// </summary>
    [StructLayout(LayoutKind.Sequential)]
    public struct Config
    {
        public nuint Size;
        public uint Magic, DeclaredVersion;
        public int Blocking, ClusterSize, LeastBlocks, MostBlocks;
        public nint Network;
        public int SplitShare;
    }
}
