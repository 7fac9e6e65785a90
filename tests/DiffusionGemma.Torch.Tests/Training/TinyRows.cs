namespace DiffusionGemma;

/// <summary>Rows of a task that two layers learn in a few steps: the response counts up from the prompt's last token.</summary>
internal static class TinyRows
{
    public const int Canvas = 8;

    public static IReadOnlyList<TrainingExample> Make(int count, int seed = 1)
    {
        var random = new Random(seed);
        return
        [
            .. Enumerable.Range(0, count).Select(_ =>
            {
                int prompt = random.Next(2, 10), response = random.Next(3, 20), first = random.Next(10, 40);
                int[] ids = [2, .. Enumerable.Range(0, prompt).Select(_ => random.Next(10, 120)), .. Enumerable.Range(first, response)];
                bool[] mask = [.. ids.Select((_, i) => i > prompt)];
                return CanvasPacking.Pack(ids, mask, Canvas, maxLength: 26, eosId: 1)!;
            }),
        ];
    }

    /// <summary>Ten steps at a rate that shows.</summary>
    public static FineTuneOptions Options { get; } = new()
    {
        GlobalBatchSize = 4, Run = new() { MicroBatchSize = 2 }, MaxSteps = 10,
        Epochs = 10, WarmupSteps = 0, LearningRate = 3e-3, Optimizer = new() { MinLearningRate = 0 }
    };
}
