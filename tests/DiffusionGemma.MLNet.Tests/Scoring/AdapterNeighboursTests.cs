using DiffusionGemma.FineTuning;
using Microsoft.ML;
using TorchSharp;

namespace DiffusionGemma.Generation;

/// <summary>
/// Questions to tiny-chat in float32, with three adapters and the base mixed in every batch: every answer must be that of its adapter
/// alone.
/// </summary>
public class AdapterNeighboursTests
{
    private const int Rows = 200;

    [Fact]
    public void Mixed_adapters_answer_as_each_does_alone()
    {
        Assert.SkipUnless(Kernels.HasManaged, "libtorch's products differ with the number of rows.");
        int[][] prompts = TinyChat.Prompts(new MLContext(1), Rows);

        DiffusionGemmaRuntime.EnsureUsable();
        torch.set_num_threads(1);
        using var model = DiffusionGemmaModel.Load(TinyChat.Checkpoint, torch.CPU, torch.ScalarType.Float32);
        LoraAdapter[] adapters =
        [
            DrawnAdapter.Create(model, 1, 0.3, new LoraOptions { Rank = 4 }),
            DrawnAdapter.Create(model, 2, 0.3, new LoraOptions { Rank = 8, Experts = true, ExpertRank = 2 }),
            DrawnAdapter.Create(model, 3, 0.2, new LoraOptions { Rank = 2, SelfConditioning = true }), LoraAdapter.None,
        ];
        var options = new GenerationOptions { MaxDenoisingSteps = 8, MaxNewTokens = 32 };
        string[] Answers(IEnumerable<GenerationRequest> requests) =>
            [.. CanvasGenerator.Generate(model, [.. requests], options, batchSize: 8).Select(r => string.Join(' ', r.Ids))];

        string[] mixed = Answers(prompts.Select((p, i) => new GenerationRequest(p) { Adapter = adapters[i % 4] }));
        var alone = new string[Rows];
        for (int n = 0; n < 4; n++)
        {
            int[] own = [.. Enumerable.Range(0, Rows).Where(i => i % 4 == n)];
            model.Adapter = adapters[n];
            string[] answers = Answers(own.Select(i => new GenerationRequest(prompts[i])));
            for (int k = 0; k < own.Length; k++) alone[own[k]] = answers[k];
        }
        model.Adapter = null;
        string[] plain = Answers(prompts.Select(p => new GenerationRequest(p)));
        foreach (LoraAdapter adapter in adapters) adapter.Dispose();

        Assert.Equal(alone, mixed);
        Assert.True(alone.Distinct().Count() > Rows / 4, "the questions have answers of their own");
        for (int n = 0; n < 3; n++)
            Assert.True(Enumerable.Range(0, Rows).Count(i => i % 4 == n && alone[i] != plain[i]) > 5, $"adapter {n} changes answers");
    }
}
