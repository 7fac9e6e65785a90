namespace DiffusionGemma;

public sealed class LaunchEnvironmentTests
{
    private static readonly (string, string)[] Torchrun =
    [
        ("RANK", "3"), ("WORLD_SIZE", "8"), ("LOCAL_RANK", "1"), ("LOCAL_WORLD_SIZE", "2"),
        ("MASTER_ADDR", "node7"), ("MASTER_PORT", "29500"),
    ];

    private static readonly (string, string)[] Slurm =
        [("SLURM_PROCID", "3"), ("SLURM_NTASKS", "8"), ("SLURM_LOCALID", "1"), ("MASTER_ADDR", "node7"), ("MASTER_PORT", "29500")];

    [Fact]
    public void Torchrun_and_Slurm_say_the_same()
    {
        var expected = new LaunchEnvironment(3, 8, 1, "node7", 29500);
        Assert.Equal(expected, Read(Torchrun));
        Assert.Equal(expected, Read(Slurm));
        Assert.Equal(expected, Read([.. Torchrun, ("SLURM_PROCID", "5"), ("SLURM_NTASKS", "9")]));
        Assert.Equal(expected with { Port = 29501 }, Read([.. Torchrun, ("TORCHELASTIC_USE_AGENT_STORE", "True")]));
    }

    [Fact]
    public void A_folder_or_mpirun_takes_the_place_of_an_address()
    {
        (string, string) folder = (FileRendezvous.Variable, "/shared/run7");
        var expected = new LaunchEnvironment(3, 8, 1, "", 0) { Folder = "/shared/run7" };
        Assert.Equal(expected, Read([.. Torchrun, folder]));
        Assert.Equal(expected, Read([.. Slurm.Where(pair => !pair.Item1.StartsWith("MASTER", StringComparison.Ordinal)), folder]));
        (string, string)[] mpirun =
            [("OMPI_COMM_WORLD_RANK", "3"), ("OMPI_COMM_WORLD_SIZE", "8"), ("OMPI_COMM_WORLD_LOCAL_RANK", "1")];
        Assert.Equal(new LaunchEnvironment(3, 8, 1, "", 0) { IsMpi = true }, Read(mpirun));
        Assert.Equal(expected, Read([.. mpirun, folder]));
    }

    /// <summary>Also in a Slurm job that nobody has asked to use several processes.</summary>
    [Fact]
    public void Without_a_launcher_there_is_one_process()
    {
        Assert.Null(Read([]));
        Assert.Null(Read([("SLURM_PROCID", "0"), ("SLURM_NTASKS", "8"), ("SLURM_LOCALID", "0")]));
    }

    [Theory]
    [InlineData("RANK", null, "WORLD_SIZE is set and RANK is not")]
    [InlineData("LOCAL_RANK", null, "LOCAL_RANK is not")]
    [InlineData("MASTER_ADDR", null, "MASTER_ADDR is not set")]
    [InlineData("MASTER_PORT", null, "MASTER_PORT is not")]
    [InlineData("RANK", "8", "RANK is \"8\" and not a number from 0 to 7")]
    [InlineData("RANK", "-1", "RANK is \"-1\"")]
    [InlineData("WORLD_SIZE", "0", "WORLD_SIZE is \"0\"")]
    [InlineData("WORLD_SIZE", "many", "WORLD_SIZE is \"many\"")]
    [InlineData("LOCAL_RANK", "8", "LOCAL_RANK is \"8\"")]
    [InlineData("MASTER_PORT", "65536", "MASTER_PORT is \"65536\"")]
    public void A_wrong_variable_is_named(string name, string? value, string message)
    {
        (string, string)[] variables = [.. Torchrun.Where(pair => pair.Item1 != name)];
        if (value is not null) variables = [.. variables, (name, value)];
        Assert.Contains(message, Assert.Throws<InvalidOperationException>(() => Read(variables)).Message);
    }

    private static LaunchEnvironment? Read((string Name, string Value)[] variables) =>
        LaunchEnvironment.Read(name => variables.Where(pair => pair.Name == name).Select(pair => pair.Value).FirstOrDefault());
}
