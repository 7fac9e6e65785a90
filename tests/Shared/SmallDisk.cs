using System.Diagnostics;

namespace DiffusionGemma;

/// <summary>
/// Runs a test method once more, in a process that has a file system of two megabytes to write to: a full disk that is really full.
/// </summary>
internal static class SmallDisk
{
    private const string Folder = "DIFFUSIONGEMMA_SMALL_DISK", Mark = "DIFFUSIONGEMMA_SMALL_DISK_MARK";

    /// <summary>The small file system, in the child.</summary>
    public static string Here =>
        Environment.GetEnvironmentVariable(Folder) ?? throw new InvalidOperationException("SmallDisk.Run starts this test.");

    /// <summary>Said at the child's end, so that a child that did nothing does not count.</summary>
    public static void Passed() => File.WriteAllText(Environment.GetEnvironmentVariable(Mark)!, "");

    /// <summary>Fills the disk up; the file that does it is returned, to be deleted.</summary>
    public static string Fill()
    {
        string ballast = Path.Combine(Here, "ballast");
        using FileStream file = File.Create(ballast);
        byte[] page = new byte[4096];
        try
        {
            while (true) file.Write(page);
        }
        catch (IOException)
        {
            return ballast;
        }
    }

    /// <summary>Makes the disk read-only, also for root.</summary>
    public static void MakeReadOnly()
    {
        using Process process = Process.Start("mount", ["-o", "remount,ro", Here]);
        process.WaitForExit();
        Assert.Equal(0, process.ExitCode);
    }

    public static void Run(string method, string type)
    {
        const string mount = "mkdir -p \"$0\" && mount -t tmpfs -o size=2m none \"$0\"";
        using TemporaryFolder folder = Fixtures.Temporary();
        Assert.SkipUnless(OperatingSystem.IsLinux() && Start(folder, $"{mount} && true").Exit == 0,
            "a file system of its own needs Linux and user namespaces");
        (int exit, string output) = Start(folder, $"{mount} && exec \"$1\" -explicit only -method \"*{type}.{method}\"");
        Assert.True(exit == 0 && File.Exists(folder.File("mark")), output);
    }

    private static (int Exit, string Output) Start(TemporaryFolder folder, string script)
    {
        var start = new ProcessStartInfo("unshare", ["-rm", "sh", "-c", script, folder.File("disk"), Environment.ProcessPath!])
        {
            RedirectStandardOutput = true, RedirectStandardError = true,
            Environment = { [Folder] = folder.File("disk"), [Mark] = folder.File("mark") },
        };
        try
        {
            using Process process = Process.Start(start)!;
            Task<string> errors = process.StandardError.ReadToEndAsync();
            string output = process.StandardOutput.ReadToEnd() + errors.Result;
            process.WaitForExit();
            return (process.ExitCode, output);
        }
        catch (System.ComponentModel.Win32Exception)
        {
            return (1, "no unshare");
        }
    }
}
