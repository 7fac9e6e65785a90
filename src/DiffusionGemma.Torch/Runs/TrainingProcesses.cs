namespace DiffusionGemma;

/// <summary>
/// The number of this process and of all processes where a launcher (mpirun, srun, torchrun) has started a program several times. All of
/// them run the same code; what must happen once, such as writing a file, only the first does.
/// </summary>
public static class TrainingProcesses
{
    /// <summary>The number of processes that train together; 1 without a launcher.</summary>
    public static int Count => Read().Count;

    /// <summary>The number of this process, from 0.</summary>
    public static int Rank => Read().Rank;

    /// <summary>True for the process that writes files.</summary>
    public static bool IsFirst => Rank == 0;

    private static (int Rank, int Count) Read()
    {
        if (MpiProcessGroup.IsLaunched) return (MpiWorld.Instance.Rank, MpiWorld.Instance.Ranks.Count);
        return LaunchEnvironment.Read(Environment.GetEnvironmentVariable) is { } launch ? (launch.Rank, launch.Size) : (0, 1);
    }
}
