using System.Globalization;

namespace DiffusionGemma;

/// <summary>
/// A process's place among several, by the variables that torchrun (and Kubernetes' PyTorch operator), Slurm or Open MPI's mpirun set.
/// </summary>
/// <param name="Rank">RANK, SLURM_PROCID or OMPI_COMM_WORLD_RANK.</param>
/// <param name="Size">WORLD_SIZE, SLURM_NTASKS or OMPI_COMM_WORLD_SIZE.</param>
/// <param name="LocalRank">
/// LOCAL_RANK, SLURM_LOCALID or OMPI_COMM_WORLD_LOCAL_RANK: the number among the processes of this machine, which is that of its device.
/// </param>
/// <param name="Address">MASTER_ADDR: the machine of rank 0. Empty where a folder or MPI takes its place.</param>
/// <param name="Port">MASTER_PORT there; one more where torchrun's own store listens on it (TORCHELASTIC_USE_AGENT_STORE).</param>
internal sealed record LaunchEnvironment(int Rank, int Size, int LocalRank, string Address, int Port)
{
    private const string AddressName = "MASTER_ADDR", PortName = "MASTER_PORT";

    /// <summary>The folder through which ranks find each other (<see cref="FileRendezvous.Variable"/>); null: none.</summary>
    public string? Folder { get; init; }

    /// <summary>True where mpirun started the processes, and Open MPI connects them.</summary>
    public bool IsMpi { get; init; }

    /// <summary>Reads the variables; null where no launcher has set those of several processes.</summary>
    /// <exception cref="InvalidOperationException">A variable is missing or out of range; names it.</exception>
    public static LaunchEnvironment? Read(Func<string, string?> variable)
    {
        string? address = variable(AddressName), folder = variable(FileRendezvous.Variable) is { Length: > 0 } named ? named : null;
        string[]? names = variable("WORLD_SIZE") is not null ? ["RANK", "WORLD_SIZE", "LOCAL_RANK"]
            : variable("OMPI_COMM_WORLD_SIZE") is not null
                ? ["OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_LOCAL_RANK"]
            : variable("SLURM_NTASKS") is not null && (address ?? folder) is not null ? ["SLURM_PROCID", "SLURM_NTASKS", "SLURM_LOCALID"]
            : null;
        if (names is null) return null;

        int size = Number(names[1], 1, int.MaxValue), rank = Number(names[0], 0, size - 1), local = Number(names[2], 0, size - 1);
        bool isMpi = names[1] == "OMPI_COMM_WORLD_SIZE" && folder is null;
        if (isMpi || folder is not null) return new LaunchEnvironment(rank, size, local, "", 0) { Folder = folder, IsMpi = isMpi };
        if (string.IsNullOrEmpty(address))
            throw new InvalidOperationException($"{AddressName} is not set: it names the machine of rank 0.");
        int port = Number(PortName, 1, ushort.MaxValue - 1);
        return new LaunchEnvironment(rank, size, local, address, variable("TORCHELASTIC_USE_AGENT_STORE") == "True" ? port + 1 : port);

        int Number(string name, int min, int max)
        {
            string text = variable(name) ?? throw new InvalidOperationException($"{names[1]} is set and {name} is not.");
            return int.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out int number) && number >= min && number <= max
                ? number : throw new InvalidOperationException($"{name} is \"{text}\" and not a number from {min} to {max}.");
        }
    }
}
