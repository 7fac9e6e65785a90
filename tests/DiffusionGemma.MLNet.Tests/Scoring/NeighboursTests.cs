using DiffusionGemma.FineTuning;
using Microsoft.ML;
using TorchSharp;

namespace DiffusionGemma.Generation;

/// <summary>
/// In float32 too, 500 questions must be answered alike: alone, in a batch that they join late, and in another order.
/// </summary>
public class NeighboursTests
{
    private const int Rows = 500;

    [Fact]
    public void An_answer_does_not_depend_on_the_rows_beside_it()
    {
        Assert.SkipUnless(Kernels.HasManaged, "libtorch's products differ with the number of rows.");
        int[][] prompts = TinyChat.Prompts(new MLContext(1), Rows);
        Assert.Equal(Rows, prompts.Length);

        DiffusionGemmaRuntime.EnsureUsable();
        torch.set_num_threads(1);
        using var model = DiffusionGemmaModel.Load(TinyChat.Checkpoint, torch.CPU, torch.ScalarType.Float32);
        var options = new GenerationOptions { MaxDenoisingSteps = 8, MaxNewTokens = 32 };
        string[] Answers(IEnumerable<int[]> asked, int batchSize) =>
            [.. CanvasGenerator.Generate(model, [.. asked.Select(p => new GenerationRequest(p))], options, batchSize)
                .Select(r => string.Join(' ', r.Ids))];

        string[] alone = Answers(prompts, batchSize: 1), together = Answers(prompts, batchSize: 8);
        string[] reversed = [.. Answers(prompts.Reverse(), batchSize: 32).Reverse()];
        Assert.True(alone.Distinct().Count() > Rows / 4, "the questions have answers of their own");
        Assert.Equal(alone, together);
        Assert.Equal(alone, reversed);
    }
}
