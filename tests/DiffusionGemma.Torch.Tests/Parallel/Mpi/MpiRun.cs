namespace DiffusionGemma;

/// <summary>A run of several processes of the program DiffusionGemma.Ranks, started by mpirun.</summary>
internal sealed record MpiRun(ProgramRun Job)
{
    /// <summary>Returns the line that the rank printed.</summary>
    public string Of(int rank)
    {
        string start = $"rank {rank}: ";
        string? line = Job.Output.Split('\n').FirstOrDefault(line => line.Contains(start, StringComparison.Ordinal));
        Assert.True(line is not null, $"Rank {rank} printed nothing: {Job}");
        return line[(line.IndexOf(start, StringComparison.Ordinal) + start.Length)..].TrimEnd('\r');
    }

    /// <summary>Runs the processes to their end; skips the test where mpirun is missing.</summary>
    public static MpiRun Start(int ranks, params string[] scenario)
    {
        ProgramRun? job = ProgramRun.Start(
            "mpirun", ["--allow-run-as-root", "--oversubscribe", "--bind-to", "none", "-n", $"{ranks}", ProgramRun.Ranks, .. scenario]);
        Assert.SkipWhen(job is null, "There is no mpirun: several processes need openmpi-bin and libopenmpi3.");
        return new MpiRun(job);
    }
}
