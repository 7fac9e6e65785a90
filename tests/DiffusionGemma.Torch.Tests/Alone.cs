namespace DiffusionGemma;

/// <summary>Tests that count the process's tensors, time something or use its one default generator: nothing else runs meanwhile.</summary>
[CollectionDefinition(Name, DisableParallelization = true)]
public sealed class Alone
{
    public const string Name = "alone";
}
