namespace DiffusionGemma;

/// <summary>
/// Which of several processes this is, where a launcher (mpirun, srun, torchrun) has started a program more than once: all of them run the same lines, and
/// what must happen once, as writing a file, the first does.
/// </summary>
public static class TrainingProcesses
{
    /// <summary>Processes that train together; 1 where no launcher said otherwise.</summary>
    public static int Count => Read().Count;

    /// <summary>This one's number, from 0.</summary>
    public static int Rank => Read().Rank;

    /// <summary>Whether this is the process that writes files.</summary>
    public static bool IsFirst => Rank == 0;

    private static (int Rank, int Count) Read()
    {
        if (MpiProcessGroup.IsLaunched) return (MpiWorld.Instance.Rank, MpiWorld.Instance.Ranks.Count);
        return LaunchEnvironment.Read(Environment.GetEnvironmentVariable) is { } launch ? (launch.Rank, launch.Size) : (0, 1);
    }
}
