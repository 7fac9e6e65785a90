// dotnet run -c Release --project tests/DiffusionGemma.Benchmarks -- text|training|denoising [--threads N] [--quick]
// Prints one line a figure, "figure NAME VALUE UNIT"; progress goes to standard error.
using DiffusionGemma.Benchmarks;

if (args is ["training-one", var kind, var precision, var algorithm, var count, var small])
{
    TrainingBenchmark.Measure(kind, precision, algorithm, int.Parse(count), bool.Parse(small));
    return 0;
}

if (args is ["denoising-one", var batch, var how, var cores, var tiny])
{
    DenoisingBenchmark.Measure(int.Parse(batch), how, int.Parse(cores), bool.Parse(tiny));
    return 0;
}

if (args is ["plan", var folder, .. var rest])
{
    DiffusionGemma.DiffusionGemmaConfig config = DiffusionGemma.DiffusionGemmaConfig.Load(folder);
    var options = new DiffusionGemma.FineTuneOptions
    {
        Lora = rest.Contains("--full") ? null : new DiffusionGemma.LoraOptions(), ActivationCheckpointing = rest.Contains("--checkpointing"),
    };
    int tokens = rest.SkipWhile(a => a != "--tokens").Skip(1).FirstOrDefault() is { } given ? int.Parse(given) : 1024;
    Console.Write(DiffusionGemma.TrainingPlan.Of(config, options, TorchSharp.torch.ScalarType.BFloat16, tokens));
    return 0;
}

int threads = 1;
bool quick = false;
string? what = null;
for (int i = 0; i < args.Length; i++)
{
    if (args[i] == "--quick") quick = true;
    else if (args[i] == "--threads" && i + 1 < args.Length && int.TryParse(args[i + 1], out threads) && threads > 0) i++;
    else if (what is null && args[i] is ("text" or "training" or "denoising")) what = args[i];
    else return Usage(args[i]);
}
switch (what)
{
    case "text":
        TextBenchmark.Run(quick);
        return 0;
    case "training":
        TrainingBenchmark.Run(threads, quick);
        return 0;
    case "denoising":
        DenoisingBenchmark.Run(threads, quick);
        return 0;
    default:
        return Usage("(nothing)");
}

static int Usage(string at)
{
    Console.Error.WriteLine($"'{at}' is not understood. Usage: text|training|denoising [--threads N] [--quick]");
    return 2;
}
