namespace DiffusionGemma;

/// <summary>The collection of all tests that run commands: they share the device, the Hub and the working folder of the process.</summary>
[CollectionDefinition(Name)]
public sealed class OneByOne : ICollectionFixture<TrainedRun>
{
    public const string Name = "commands, one after the other";
}
