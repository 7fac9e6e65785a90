namespace DiffusionGemma.Samples;

/// <summary>A small program and its name on the command line.</summary>
internal sealed record Example(string Name, string Description, Func<ExampleArguments, Task> RunAsync)
{
    public Example(string name, string description, Action<ExampleArguments> run)
        : this(name, description, arguments =>
        {
            run(arguments);
            return Task.CompletedTask;
        })
    {
    }
}
