using System.Diagnostics;
using System.Globalization;
using Microsoft.ML;
using Microsoft.ML.Data;
using static TorchSharp.torch;

namespace DiffusionGemma.Soak;

/// <summary>
/// Models that are trained, saved, loaded, asked by several callers at once and disposed of. Before every other training one is cancelled
/// at a step of its own, and every third answer in the middle; every fourth training is of all weights.
/// </summary>
/// <param name="ranks">Ranks of the training, threads of this process.</param>
/// <param name="slice">Wall time of a slice, which ends with the life that has begun.</param>
internal sealed class ModelLives(int ranks, TimeSpan slice) : ISoakPart
{
    private const int Steps = 6, TrainingRows = 32, Questions = 12, CancelEvery = 2, FullEvery = 4;

    private readonly TemporaryFolder _folder = Fixtures.Temporary("soak");
    private int _lives;

    public string Name => ranks == 1 ? "lives of a model, 1 rank" : string.Create(CultureInfo.InvariantCulture, $"the same, {ranks} ranks");

    public async Task<Work> RunSliceAsync()
    {
        long start = Stopwatch.GetTimestamp();
        var all = new Work();
        // Every slice has lives of each kind, so that slices compare.
        do
        {
            for (int n = 0; n < FullEvery; n++)
            {
                Work life = await LiveAsync(_lives++);
                all = new Work(all.Done + life.Done, all.Cancelled + life.Cancelled);
            }
        }
        while (Stopwatch.GetElapsedTime(start) < slice);
        return all;
    }

    public void Dispose() => _folder.Dispose();

    private async Task<Work> LiveAsync(int number)
    {
        var ml = new MLContext(seed: 42);
        IDataView sums = Sums.Load(ml);
        string zip = _folder.File("model.zip");
        FineTuneOptions options = ArithmeticPipeline.Options(Steps, number % FullEvery == 0 ? _folder.File("weights") : null);
        options = options with { Devices = [.. Enumerable.Repeat(CPU, ranks)] };
        if (number % CancelEvery == 0) Cancel(ml, sums, options, step: number / CancelEvery % Steps);
        using (TransformerChain<DiffusionGemmaTransformer> model =
            ArithmeticPipeline.FineTuning(ml, options).Fit(ml.Data.TakeRows(sums, TrainingRows)))
            ml.Model.Save(model, sums.Schema, zip);

        ITransformer loaded = ml.Model.Load(zip, out _);
        using var disposal = loaded as IDisposable;
        DiffusionGemmaTransformer answering = ml.Transforms.DiffusionGemma.AnsweringPart(loaded);
        await using var queue = new GenerationQueue(answering.Model);
        using var client = new DiffusionGemmaChatClient(queue, answering.ChatTokenizer);
        var asking = new CancelledChat(client);
        await Task.WhenAll(Enumerable.Range(0, Questions).Select(asking.AskAsync));
        return new Work(asking.Answers, asking.Cancelled);
    }

    private static void Cancel(MLContext ml, IDataView sums, FineTuneOptions options, int step)
    {
        using var cancel = new CancellationTokenSource();
        var progress = new StepWatch(record =>
        {
            if (record.Step == step) cancel.Cancel();
        });
        try
        {
            using var _ = ArithmeticPipeline.FineTuning(ml, options, progress, cancel.Token).Fit(ml.Data.TakeRows(sums, TrainingRows));
        }
        catch (OperationCanceledException)
        {
            return;
        }
        // The last step's report comes after all work.
        if (step < Steps - 1) throw new InvalidDataException($"A run that was cancelled at step {step} went on.");
    }

    private sealed class StepWatch(Action<StepRecord> report) : IProgress<StepRecord>
    {
        public void Report(StepRecord value) => report(value);
    }
}
