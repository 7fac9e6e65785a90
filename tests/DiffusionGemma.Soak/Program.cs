using DiffusionGemma;
using DiffusionGemma.Soak;

// Long runs that look for what grows. dotnet run -c Release --project tests/DiffusionGemma.Soak -- memory
try
{
    switch (args)
    {
        case ["memory", .. var rest]:
            SoakArguments arguments = SoakArguments.Parse(rest);
            Console.WriteLine(DiffusionGemmaRuntime.Describe());
            return MemoryLoop.Run(arguments);
        default:
            Console.Error.WriteLine(SoakArguments.Usage);
            return 2;
    }
}
catch (ArgumentException e)
{
    Console.Error.WriteLine($"{e.Message}\n{SoakArguments.Usage}");
    return 2;
}
