using System.Globalization;
using DiffusionGemma;
using TorchSharp;

if (args is ["libtorch", ..])
{
    LibTorchScenario.Run(args[1..]);
    return 0;
}
// One rank of several processes: runs the named scenario and prints one line, "rank R: ...", with its result or exception.
DiffusionGemmaRuntime.EnsureUsable();
torch.set_num_threads(1);
string rank = Environment.GetEnvironmentVariable("OMPI_COMM_WORLD_RANK") ?? "?";
try
{
    Say(Scenarios.Run(args[0], args[1..]));
    return 0;
}
catch (ProcessGroupException e)
{
    Say($"{e.Message}{(e.InnerException is { } cause ? $" [{cause.Message}]" : "")}");
    return 1;
}

void Say(string end) => Console.Out.Write(string.Create(CultureInfo.InvariantCulture, $"rank {rank}: {end}\n"));
