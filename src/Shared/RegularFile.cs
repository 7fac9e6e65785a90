using System.Runtime.InteropServices;

namespace DiffusionGemma;

/// <summary>Refuses pipes, sockets and devices where a file is read, often more than once or from its end.</summary>
/// <remarks>
/// Opening a pipe waits for a writer, perhaps for ever, and a device such as /dev/zero has no end. Linux alone is asked: on other systems
/// they are opened as they are.
/// </remarks>
internal static unsafe partial class RegularFile
{
    private const int CurrentFolder = -100, ResultBytes = 256, ModeOffset = 28;
    private const uint TypeOnly = 1;
    private const int TypeBits = 0xF000, Pipe = 0x1000, CharacterDevice = 0x2000, BlockDevice = 0x6000, Socket = 0xC000;

    /// <summary>Refuses what is there under a name, links followed, and is neither a file nor a folder.</summary>
    /// <returns>The path.</returns>
    /// <exception cref="IOException">It is a pipe, a socket or a device.</exception>
    public static string Require(string path)
    {
        if (!OperatingSystem.IsLinux()) return path;
        byte* result = stackalloc byte[ResultBytes];
        try
        {
            // What is not there, or may not be looked at, is said by whoever opens it.
            if (statx(CurrentFolder, path, 0, TypeOnly, result) != 0) return path;
        }
        catch (EntryPointNotFoundException)
        {
            return path;                                            // a C library from before 2018
        }
        string? kind = (*(ushort*)(result + ModeOffset) & TypeBits) switch
        {
            Pipe => "a pipe",
            CharacterDevice or BlockDevice => "a device",
            Socket => "a socket",
            _ => null,
        };
        return kind is null ? path : throw new IOException($"{path} is {kind}, not a file: write what comes from it to a file first.");
    }

    [LibraryImport("libc", StringMarshalling = StringMarshalling.Utf8)]
    private static partial int statx(int folder, string path, int flags, uint mask, byte* result);
}
