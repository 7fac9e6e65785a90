using System.ComponentModel;
using System.Diagnostics;

namespace DiffusionGemma;

/// <summary>Named pipes of Unix, which stand where a file is expected: whoever opens one waits for a writer.</summary>
internal static class NamedPipe
{
    /// <summary>Longer than any of the tests' files takes to be read on a busy machine.</summary>
    private static readonly TimeSpan Longest = TimeSpan.FromMinutes(2);

    /// <summary>Makes a pipe, in place of a file that is there.</summary>
    public static void Make(string path)
    {
        Assert.SkipUnless(OperatingSystem.IsLinux(), "Pipes are recognised on Linux alone.");
        File.Delete(path);
        try
        {
            using Process process = Process.Start("mkfifo", [path]);
            process.WaitForExit();
            Assert.Equal(0, process.ExitCode);
        }
        catch (Win32Exception)
        {
            Assert.Skip("There is no mkfifo program (coreutils).");
        }
    }

    /// <summary>Reads what has a pipe in it, and returns the exception, whose message must name the pipe.</summary>
    public static Exception Refused(string path, Action read)
    {
        // A thread of its own: one that waits for a writer ends with the process.
        Exception? error = null;
        var reading = new Thread(() => error = Record.Exception(read)) { IsBackground = true };
        reading.Start();
        Assert.True(reading.Join(Longest), $"{path}: reading does not end.");
        Assert.NotNull(error);
        Exception cause = error.GetBaseException();
        Assert.Contains(path, cause.Message, StringComparison.Ordinal);
        Assert.Contains("a pipe, not a file", cause.Message, StringComparison.Ordinal);
        return error;
    }
}
