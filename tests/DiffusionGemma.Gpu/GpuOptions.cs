using System.Globalization;
using TorchSharp;

namespace DiffusionGemma.Gpu;

/// <summary>The program's arguments.</summary>
/// <param name="Stages">The stages to run, 1 to 5.</param>
/// <param name="Out">The folder of results.jsonl and report.md.</param>
/// <param name="IsCpu">True: on the CPU, where no speed is compared and small shapes take the place of large ones.</param>
/// <param name="IsQuick">Small shapes and few steps.</param>
/// <param name="Python">The interpreter that has PyTorch, transformers and PEFT.</param>
internal sealed record GpuOptions(IReadOnlyList<int> Stages, string Out, bool IsCpu, bool IsQuick, string Python)
{
    /// <summary>Internal: runs the collectives of stage 4 over NCCL's stand-in.</summary>
    public bool NcclChild { get; private init; }

    /// <summary>Internal: trains with this part of the device's memory.</summary>
    public double? MemoryChild { get; private init; }

    /// <summary>Internal: the stage that this process runs.</summary>
    public int? StageChild { get; private init; }

    /// <summary>The arguments for a stage's own process.</summary>
    public IEnumerable<string> Arguments =>
        ["--out", Out, "--device", IsCpu ? "cpu" : "cuda", "--python", Python, .. IsQuick ? ["--quick"] : Array.Empty<string>()];

    public const string Usage = """
        DiffusionGemma.Gpu [--stages 1,2,3,4,5] [--out FOLDER] [--device cuda|cpu] [--quick] [--python PROGRAM]

          1  load libtorch, describe, self-test, fixtures in float32 and bfloat16
          2  speed at the benchmark shape and at 4 layers of the released width, beside transformers and PEFT
          3  the released shape with random weights: LoRA steps, denoising, 4 bits, beside transformers and PEFT
          4  NCCL
          5  compute-sanitizer over stage 1

          --out      results.jsonl and report.md (gpu-results)
          --device   cuda; cpu runs all that a CPU can, and says why for the rest
          --quick    small shapes, few steps
          --python   the interpreter with PyTorch, transformers and PEFT (python3)
        """;

    /// <summary>The device; even to name one loads libtorch, which must come from the right place.</summary>
    public torch.Device Device
    {
        get
        {
            DiffusionGemmaRuntime.EnsureUsable();
            return IsCpu ? torch.CPU : torch.CUDA;
        }
    }

    /// <exception cref="FormatException">An argument is not known, or has no value.</exception>
    public static GpuOptions Parse(string[] arguments)
    {
        var options = new GpuOptions([1, 2, 3, 4, 5], "gpu-results", IsCpu: false, IsQuick: false, "python3");
        for (int i = 0; i < arguments.Length; i++)
        {
            string Value() => ++i < arguments.Length ? arguments[i] : throw new FormatException($"{arguments[i - 1]} needs a value.");
            options = arguments[i] switch
            {
                "--stages" => options with { Stages = StageList(Value()) },
                "--out" => options with { Out = Value() },
                "--device" => options with
                {
                    IsCpu = Value() switch
                    {
                        "cpu" => true,
                        "cuda" => false,
                        var other => throw new FormatException($"--device {other}: cuda or cpu."),
                    },
                },
                "--quick" => options with { IsQuick = true },
                "--python" => options with { Python = Value() },
                "--nccl-child" => options with { NcclChild = true },
                "--memory-child" => options with { MemoryChild = double.Parse(Value(), CultureInfo.InvariantCulture) },
                "--stage-child" => options with { StageChild = StageList(Value())[0] },
                var other => throw new FormatException($"{other} is not known."),
            };
        }
        return options;
    }

    private static int[] StageList(string text) =>
    [
        .. text.Split(',').Select(part => int.TryParse(part, out int stage) && stage is >= 1 and <= 5
            ? stage : throw new FormatException($"--stages {text}: numbers from 1 to 5, with commas.")),
    ];
}
