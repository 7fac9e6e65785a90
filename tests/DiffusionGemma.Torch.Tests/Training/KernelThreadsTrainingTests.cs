using TorchSharp;

namespace DiffusionGemma;

/// <summary>Training on one, two and three threads of kernels, in micro-batches that are work enough for all of them.</summary>
[Collection(Alone.Name)]
public class KernelThreadsTrainingTests : TorchTest
{
    private const int Rows = 48;

    [Theory]
    [InlineData("full")]
    [InlineData("experts")]
    public void Losses_have_the_same_bits_on_any_number_of_threads(string kind)
    {
        Assert.SkipUnless(Kernels.HasManaged, "libtorch divides a product among threads in its own way.");
        double[] one = Losses(kind, 1);
        Assert.Equal(3, one.Distinct().Count());
        Assert.Equal(one, Losses(kind, 2));
        Assert.Equal(one, Losses(kind, 3));
    }

    private static double[] Losses(string kind, int threads)
    {
        FineTuneOptions options = TinyRows.Options with
        {
            GlobalBatchSize = Rows,
            MaxSteps = 3,
            Run = new() { MicroBatchSize = Rows },
            Parallel = new() { Workers = 1 },
            Lora = kind == "full" ? null : new LoraOptions { Experts = true },
        };
        try
        {
            TorchThreads.SetHere(threads);
            using DiffusionGemmaModel model =
                DiffusionGemmaModel.Load(Fixtures.Checkpoint("tiny-2layer"), TestDevice.Current, torch.ScalarType.Float32);
            using FineTuneResult result = FineTuner.Fit(model, TinyRows.Make(Rows), options);
            model.Adapter = null;
            return [.. result.History.Select(step => step.Loss)];
        }
        finally
        {
            TorchThreads.SetHere(1);
        }
    }
}
