using System.Diagnostics;
using System.Text;

namespace DiffusionGemma;

/// <summary>The tool as a process of its own, for signals and kills.</summary>
internal sealed class ToolProcess : IDisposable
{
    private static readonly TimeSpan Longest = TimeSpan.FromMinutes(30);
    private readonly Process _process;
    private readonly StringBuilder _said = new();

    public ToolProcess(params string[] arguments) : this(new Dictionary<string, string?>(), arguments)
    {
    }

    /// <param name="environment">Variables besides this process's; null takes one away.</param>
    /// <param name="arguments">The command line.</param>
    public ToolProcess(IReadOnlyDictionary<string, string?> environment, params string[] arguments)
    {
        string name = OperatingSystem.IsWindows() ? "DiffusionGemma.Tool.exe" : "DiffusionGemma.Tool";
        string program = Path.Combine(AppContext.BaseDirectory, name);
        var start = new ProcessStartInfo(IgnoresSignals() ? "env" : program)
        {
            RedirectStandardOutput = true,
            RedirectStandardError = true,
            StandardOutputEncoding = Encoding.UTF8,
        };
        foreach (string argument in IgnoresSignals() ? ["--default-signal=INT,HUP", program, .. arguments] : arguments)
            start.ArgumentList.Add(argument);
        start.Environment["OMP_NUM_THREADS"] = "1";
        foreach ((string variable, string? value) in environment) start.Environment[variable] = value;
        _process = new Process { StartInfo = start };
        _process.OutputDataReceived += Add;
        _process.ErrorDataReceived += Add;
        _process.Start();
        _process.BeginOutputReadLine();
        _process.BeginErrorReadLine();
    }

    public string Said
    {
        get
        {
            lock (_said) return _said.ToString();
        }
    }

    public bool HasExited => _process.HasExited;

    /// <summary>Waits until the process has said something.</summary>
    public void WaitFor(string text)
    {
        var clock = Stopwatch.StartNew();
        while (!Said.Contains(text, StringComparison.Ordinal))
        {
            Assert.False(_process.HasExited, $"The tool ended before it said '{text}':\n{Said}");
            Assert.True(clock.Elapsed < Longest, $"The tool did not say '{text}':\n{Said}");
            Thread.Sleep(5);
        }
    }

    /// <summary>Sends a signal by its name, as INT for Ctrl+C.</summary>
    public void Signal(string name)
    {
        using var kill = Process.Start("kill", [$"-{name}", $"{_process.Id}"]);
        kill.WaitForExit();
    }

    public void Kill()
    {
        _process.Kill();
        _process.WaitForExit();
    }

    /// <returns>The exit code.</returns>
    public int Wait()
    {
        Assert.True(_process.WaitForExit(Longest), $"The tool did not end:\n{Said}");
        _process.WaitForExit();                                     // the rest of its output
        return _process.ExitCode;
    }

    public void Dispose()
    {
        if (!_process.HasExited) _process.Kill();
        _process.Dispose();
    }

    /// <summary>
    /// True where this process was started to ignore SIGINT, as a shell does for what it puts into the background, or SIGHUP, as nohup
    /// does: its children would ignore them too. GNU's env starts them with the default instead.
    /// </summary>
    private static bool IgnoresSignals()
    {
        const int SigHup = 1, SigInt = 2;
        string? ignored = !OperatingSystem.IsLinux() ? null
            : File.ReadLines("/proc/self/status").FirstOrDefault(line => line.StartsWith("SigIgn:", StringComparison.Ordinal));
        if (ignored is null) return false;
        ulong signals = Convert.ToUInt64(ignored["SigIgn:".Length..].Trim(), 16);
        return (signals >> (SigInt - 1) & 1) == 1 || (signals >> (SigHup - 1) & 1) == 1;
    }

    private void Add(object sender, DataReceivedEventArgs line)
    {
        lock (_said) _said.Append(line.Data).Append('\n');
    }
}
