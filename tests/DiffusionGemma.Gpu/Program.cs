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
    Console.WriteLine(NcclStage.Collectives(0, torch.CPU));
    return 0;
}
using var report = new GpuReport(options);
foreach ((int number, string name, Action<GpuOptions, GpuReport> run) in new (int, string, Action<GpuOptions, GpuReport>)[]
{
    (1, "load, self-test, fixtures", LoadStage.Run),
    (2, "speed beside transformers and PEFT", SpeedStage.Run),
    (3, "the released shape", LargeStage.Run),
    (4, "NCCL", NcclStage.Run),
    (5, "compute-sanitizer", SanitizerStage.Run),
})
    if (options.Stages.Contains(number)) report.Stage(number, name, () => run(options, report));
report.Write();
return report.HasFailed ? 1 : 0;
