using DiffusionGemma;
using DiffusionGemma.Gpu;
using TorchSharp;

// Proves on a GPU what the tests prove on a CPU, and measures: build/gpu/run.sh starts it. Each stage stands alone; a stage that fails is
// reported, and the next one runs.
GpuOptions options;
try
{
    options = GpuOptions.Parse(args);
}
catch (FormatException e)
{
    Console.Error.WriteLine($"{e.Message}\n\n{GpuOptions.Usage}");
    return 2;
}
if (options.NcclChild)
{
    DiffusionGemmaRuntime.EnsureUsable();
    Console.WriteLine($"{NcclStage.Collectives(0, torch.CPU)}; {NcclStage.TwoRanks([0, 1], torch.CPU)}");
    return 0;
}
if (options.MemoryChild is double fraction)
{
    Console.WriteLine(MemoryCheck.Child(options, fraction));
    return 0;
}
if (options.StageChild is int stage)
{
    GpuStage.All.Single(one => one.Number == stage).RunHere(options);
    return 0;
}
GpuReport created;
try
{
    created = new GpuReport(options, stage: null);
}
catch (Exception e) when (e is IOException or UnauthorizedAccessException)
{
    Console.Error.WriteLine($"--out {options.Out} cannot be written to ({e.Message}): name another folder.");
    return 2;
}
using GpuReport report = created;
foreach (GpuStage one in GpuStage.All.Where(one => options.Stages.Contains(one.Number)))
    if (!one.Start(options, report)) break;
Console.Error.WriteLine($"report: {Path.Combine(Path.GetFullPath(options.Out), "report.md")}");
return report.HasFailed ? 1 : 0;
