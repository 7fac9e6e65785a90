using static TorchSharp.torch;

namespace DiffusionGemma;

/// <summary>
/// Gives the bytes that rank 0 makes (NCCL's unique id) to all processes: by Open MPI where mpirun started them, through a file where
/// <see cref="FileRendezvous.Variable"/> names a folder, else over TCP by torchrun's variables.
/// </summary>
/// <param name="launch">This process's place.</param>
/// <param name="timeout">The time that each process has.</param>
/// <param name="connectByMpi">Connects the processes that mpirun started; the group is disposed of after the exchange.</param>
internal sealed class UniqueIdExchange(LaunchEnvironment launch, TimeSpan timeout, Func<TimeSpan, IProcessGroup> connectByMpi) : IDisposable
{
    private IDisposable? _published;

    /// <summary>Runs it; a collective.</summary>
    /// <param name="make">Called on rank 0 alone.</param>
    /// <exception cref="InvalidOperationException">TCP is used, and the secret is not set.</exception>
    /// <exception cref="ProcessGroupException">Other ranks did not come in time, or the bytes cannot be had.</exception>
    public byte[] Run(Func<byte[]> make)
    {
        if (launch.IsMpi) return ByMpi(make);
        if (launch.Folder is { } folder)
        {
            if (launch.Rank > 0) return FileRendezvous.Fetch(folder, launch.Rank, timeout);
            byte[] made = make();
            _published = FileRendezvous.Publish(folder, made);
            return made;
        }
        byte[] secret = Rendezvous.Secret(Environment.GetEnvironmentVariable);
        if (launch.Rank > 0) return Rendezvous.Fetch(launch.Address, launch.Port, launch.Rank, secret, timeout);
        using var rendezvous = Rendezvous.Listen(launch.Port);
        byte[] bytes = make();
        rendezvous.Serve(bytes, launch.Size, secret, timeout);
        return bytes;
    }

    /// <summary>Removes what the exchange left; to be called when all ranks have connected.</summary>
    public void Dispose() => _published?.Dispose();

    private byte[] ByMpi(Func<byte[]> make)
    {
        using var scope = NewDisposeScope();
        using IProcessGroup world = connectByMpi(timeout);
        Tensor length = tensor(new long[1], device: CPU);
        byte[] made = world.Rank == 0 ? make() : [];
        length[0] = made.LongLength;
        world.Broadcast(length, 0);
        Tensor values = zeros([length.item<long>()], ScalarType.Int64, CPU);
        Span<long> elements = NativeTensors.Elements<long>(values);
        for (int i = 0; i < made.Length; i++) elements[i] = made[i];
        world.Broadcast(values, 0);
        byte[] bytes = new byte[elements.Length];
        for (int i = 0; i < bytes.Length; i++) bytes[i] = (byte)elements[i];
        GC.KeepAlive(values);
        return bytes;
    }
}
