// dotnet run -c Release --project tests/DiffusionGemma.Benchmarks --
// text|training|denoising|parallel|steady|plan-check|operators|grammars|adapters|quality|quantized [options]
// dotnet run -c Release --project tests/DiffusionGemma.Benchmarks -- plan|simulate FOLDER [options] Prints one line a figure,
// "figure NAME VALUE UNIT"; progress goes to standard error.
using DiffusionGemma.Benchmarks;

if (args is [TrainingCase.Command, .. var training])
{
    Console.WriteLine(TrainingCase.Parse(training).Measure().Line);
    return 0;
}

if (args is [ParallelCase.Command, .. var parallel])
{
    Console.WriteLine(System.Text.Json.JsonSerializer.Serialize(ParallelCase.Parse(parallel).Measure()));
    return 0;
}

if (args is ["denoising-one", var batch, var how, var cores, var tiny])
{
    DenoisingBenchmark.Measure(int.Parse(batch), how, int.Parse(cores), bool.Parse(tiny));
    return 0;
}

if (args is [QuantizedBenchmark.Command, var form, var torchThreads, var isQuick])
{
    QuantizedBenchmark.Measure(form, int.Parse(torchThreads), bool.Parse(isQuick));
    return 0;
}

if (args is ["plan" or "--plan", var folder, .. var rest])
{
    PlanCommand.Run(folder, rest);
    return 0;
}

if (args is ["simulate" or "--simulate", var simulated, .. var figures])
{
    SimulateCommand.Run(simulated, figures);
    return 0;
}

string[] commands =
    ["text", "training", "denoising", "parallel", "operators", "steady", "plan-check", "grammars", "adapters", "quality", "quantized"];
int threads = 1;
bool quick = false, growth = false;
string? what = null, only = null, within = null;
List<string> inner = [];
for (int i = 0; i < args.Length; i++)
{
    if (args[i] == "--isa" && i + 1 < args.Length && InstructionSets.Names.Contains(args[i + 1]))
    {
        within = args[++i];
        continue;
    }
    inner.Add(args[i]);
    if (args[i] == "--quick") quick = true;
    else if (args[i] == "--growth") growth = true;
    else if (args[i] == "--threads" && i + 1 < args.Length && int.TryParse(args[i + 1], out threads) && threads > 0) inner.Add(args[++i]);
    else if (args[i] == "--only" && i + 1 < args.Length) inner.Add(only = args[++i]);
    else if (what is null && commands.Contains(args[i])) what = args[i];
    else return Usage(args[i]);
}
if (within is not null) return InstructionSets.RunWithin(within, inner);
if (what is not null and not "text" and not "grammars") Machine.Note();
switch (what)
{
    case "text":
        TextBenchmark.Run(quick);
        return 0;
    case "training":
        TrainingBenchmark.Run(threads, quick, only);
        if (growth) TrainingBenchmark.Growth(threads, quick);
        return 0;
    case "grammars":
        GrammarBenchmark.Run(quick);
        return 0;
    case "adapters":
        AdapterBenchmark.Run(threads, quick);
        return 0;
    case "quantized":
        QuantizedBenchmark.Run(threads, quick, only);
        return 0;
    case "quality":
        QualityBenchmark.Run(threads, quick, only);
        return 0;
    case "parallel":
        ParallelBenchmark.Run(quick);
        return 0;
    case "plan-check":
        TrainingBenchmark.PlanCheck(threads, quick);
        return 0;
    case "steady":
        SteadyBenchmark.Run(threads, quick);
        return 0;
    case "operators":
        OperatorTable.Run(quick, only);
        return 0;
    case "denoising":
        DenoisingBenchmark.Run(threads, quick, only);
        return 0;
    default:
        return Usage("(nothing)");
}

static int Usage(string at)
{
    Console.Error.WriteLine($"""
        '{at}' is not understood. Usage:
            text|training|denoising|parallel|steady|plan-check|operators|grammars|adapters|quality|quantized
                [--threads N] [--quick] [--growth] [--isa {string.Join('|', InstructionSets.Names)}] [--only PART-OF-A-NAME]
            plan FOLDER [--full] [--checkpointing] [--float32] [--tokens N] [--devices N] [--batch N] [--micro N]
            simulate FOLDER, with the same and
                [--expert-parallel N] [--flops X] [--memory X] [--link X] [--network X] [--latency X] [--machine N]
        """);
    return 2;
}
