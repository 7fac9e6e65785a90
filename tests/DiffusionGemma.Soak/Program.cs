using DiffusionGemma;
using DiffusionGemma.Soak;

// Long runs that look for what grows. dotnet run -c Release --project tests/DiffusionGemma.Soak -- soak --minutes 10
try
{
    var arguments = SoakArguments.Parse(args);
    Console.WriteLine(DiffusionGemmaRuntime.Describe());
    return arguments.Command == SoakArguments.Memory ? MemoryLoop.Run(arguments) : await SoakRun.RunAsync(arguments);
}
catch (ArgumentException e)
{
    Console.Error.WriteLine($"{e.Message}\n{SoakArguments.Usage}");
    return 2;
}
