using System.Runtime.InteropServices;

namespace DiffusionGemma;

/// <summary>
/// Ends the process without waiting for its threads and without the libraries' own clean-up: libtorch crashes in it where another
/// thread computes.
/// </summary>
internal static partial class AbruptExit
{
    /// <summary>Does not return.</summary>
    public static void With(int code)
    {
        if (OperatingSystem.IsWindows()) TerminateProcess(-1, (uint)code);
        else ExitNow(code);
        Environment.FailFast("The process could not be ended.");
    }

    [LibraryImport("libc", EntryPoint = "_exit")]
    private static partial void ExitNow(int code);

    /// <param name="process">-1: this process.</param>
    /// <param name="code">The exit code.</param>
    [LibraryImport("kernel32")]
    [return: MarshalAs(UnmanagedType.Bool)]
    private static partial bool TerminateProcess(nint process, uint code);
}
