using DiffusionGemma;

// Downloads the id that the argument names, as the environment's variables say, and prints the snapshot's folder: tests start it.
Console.WriteLine(await HubRepository.DownloadAsync(args[0], progress: new Lines()));

internal sealed class Lines : IProgress<HubProgress>
{
    public void Report(HubProgress value) => Console.Error.WriteLine(value);
}
