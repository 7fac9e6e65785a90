using System.Diagnostics;
using System.Globalization;
using Microsoft.ML;
using TorchSharp;

namespace DiffusionGemma.Released;

/// <summary>
/// The released shape in 4 bits with random weights, from load to a saved model: load, answer, train, save and load. Prints seconds and
/// peak memory of each.
/// </summary>
[Collection(Alone)]
public sealed class ReleasedShapeTests
{
    public const string Alone = "released shape";

    /// <summary>Names a folder with 20 GB of room, on a machine with 24 GB of memory.</summary>
    private const string Variable = "DIFFUSIONGEMMA_RELEASED_SHAPE";

    [CollectionDefinition(Alone, DisableParallelization = true)]
    public sealed class NothingElse;

    [Fact]
    public void A_cut_shape_runs_from_load_to_a_saved_model()
    {
        using TemporaryFolder folder = Fixtures.Temporary();
        Run(ReleasedShape.Cut, folder.Path);
    }

    [Fact]
    public void The_released_shape_runs_from_load_to_a_saved_model()
    {
        string? at = Environment.GetEnvironmentVariable(Variable);
        Assert.SkipWhen(string.IsNullOrEmpty(at), $"{Variable} names no folder to write 16 GB to: minutes, and 24 GB of memory.");
        string folder = Directory.CreateDirectory(Path.Combine(at!, $"released-{Guid.NewGuid():N}")).FullName;
        try
        {
            Run(ReleasedShape.Whole, folder);
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }

    private static void Run(ReleasedShape shape, string folder)
    {
        string checkpoint = Directory.CreateDirectory(Path.Combine(folder, "checkpoint")).FullName;
        Measure("write the checkpoint", () => ReleasedCheckpoint.Write(shape, checkpoint));
        DiffusionGemmaModel model = null!;
        Measure("load", () => model = DiffusionGemmaModel.Load(checkpoint));
        try
        {
            Assert.Equal(torch.ScalarType.Float32, model.DType);
            long stored = model.Stack.Quantized.Values.Sum(weight => weight.Bytes);
            long wide = model.Stack.Quantized.Values.Sum(weight => 4 * weight.Shape.Aggregate(1L, (a, b) => a * b));
            Print("quantised weights / float32", $"{(double)stored / wide:F3}");
            Assert.InRange((double)stored / wide, 0.1, 0.18);
            Measure($"answer with one canvas of {shape.Canvas} in {shape.DenoisingSteps} steps", () =>
            {
                var options = new GenerationOptions { MaxDenoisingSteps = shape.DenoisingSteps, MaxNewTokens = shape.Canvas, Seed = 1 };
                GenerationResult answer = CanvasGenerator.Generate(model, [Ids(ReleasedShape.PromptTokens)], options).Single();
                Assert.Equal(shape.DenoisingSteps, answer.Steps);
            });
        }
        finally
        {
            model.Dispose();
        }

        var ml = new MLContext(seed: 1);
        IDataView rows = ml.Data.LoadFromEnumerable(Enumerable.Repeat(Row.Of(shape), shape.TrainingSteps));
        var tuning = new FineTuneOptions
        {
            Lora = new LoraOptions(),
            GlobalBatchSize = 1,
            WarmupSteps = 0,
            Devices = [torch.CPU],
            Run = new RunOptions { ActivationCheckpointing = true },
        };
        DiffusionGemmaTransformer trained = null!;
        Measure($"{shape.TrainingSteps} LoRA steps of one row of {shape.Row} tokens", () => trained =
            ml.Transforms.DiffusionGemma.FineTune(checkpoint, tuning, new GenerationOptions { MaxDenoisingSteps = 1 }).Fit(rows));
        string zip = Path.Combine(folder, "model.zip");
        using (trained)
        {
            Assert.Equal(shape.TrainingSteps, trained.Summary!.History.Count);
            Assert.All(trained.Summary.History, step => Assert.True(double.IsFinite(step.Loss) && step.GradientNorm > 0));
            Print("a LoRA step", $"{trained.Summary.History[^1].Seconds:F1} s");
            Measure("save the zip", () => ml.Model.Save(trained, rows.Schema, zip));
        }
        Measure("load the zip and its weights", () =>
        {
            using var loaded = (DiffusionGemmaTransformer)ml.Model.Load(zip, out _);
            Assert.Equal(torch.ScalarType.Float32, loaded.Model.DType);
            Assert.NotNull(loaded.Adapter);
        });
    }

    private static int[] Ids(int count) => [2, .. Enumerable.Range(1, count - 1).Select(n => 200 + n * 13 % 1000)];

    private static void Measure(string step, Action run)
    {
        ResetPeak();
        var watch = Stopwatch.StartNew();
        run();
        Print(step, $"{watch.Elapsed.TotalSeconds:F1} s, peak {Peak() / 1e9:F2} GB");
    }

    private static void Print(string step, string value) =>
        TestContext.Current.TestOutputHelper?.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{step,-60}{value}"));

    /// <summary>Linux counts the peak anew from here; elsewhere it is the process's.</summary>
    private static void ResetPeak()
    {
        GC.Collect();
        if (OperatingSystem.IsLinux()) File.WriteAllText("/proc/self/clear_refs", "5");
    }

    private static long Peak()
    {
        using var process = Process.GetCurrentProcess();
        return process.PeakWorkingSet64;
    }

    /// <summary>A packed row: half of it prompt, then one canvas.</summary>
    private sealed class Row
    {
        public int[] InputIds { get; set; } = [];

        public bool[] LossMask { get; set; } = [];

        public int PromptLength { get; set; }

        public int CanvasCount { get; set; }

        public int PaddedLength { get; set; }

        public int CutTokens { get; set; }

        public static Row Of(ReleasedShape shape) => new()
        {
            InputIds = Ids(shape.Row),
            LossMask = [.. Enumerable.Range(0, shape.Row).Select(n => n >= shape.Row - shape.Canvas)],
            PromptLength = shape.Row - shape.Canvas,
            CanvasCount = 1,
            PaddedLength = shape.Row,
        };
    }
}
