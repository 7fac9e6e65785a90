using System.Diagnostics;
using System.Diagnostics.Metrics;
using static TorchSharp.torch;

namespace DiffusionGemma;

/// <summary>
/// Instruments and activities, read back as an exporter would read them. Listeners hear the whole process, so no other test of the project
/// runs beside these.
/// </summary>
[Collection("one by one")]
public sealed class TelemetryTests : IDisposable
{
    private static readonly string Folder = Fixtures.Checkpoint("tiny-chat");
    private readonly MeterListener _meters = new();
    private readonly ActivityListener _activities;
    private readonly Dictionary<string, List<double>> _values = [];
    private readonly List<Activity> _ended = [];

    public TelemetryTests()
    {
        _meters.InstrumentPublished = (instrument, listener) =>
        {
            if (instrument.Meter.Name == DiffusionGemmaTelemetry.Name) listener.EnableMeasurementEvents(instrument);
        };
        _meters.SetMeasurementEventCallback<double>((instrument, value, tags, _) => Add(instrument, value, tags));
        _meters.SetMeasurementEventCallback<int>((instrument, value, tags, _) => Add(instrument, value, tags));
        _meters.SetMeasurementEventCallback<long>((instrument, value, tags, _) => Add(instrument, value, tags));
        _meters.Start();
        _activities = new ActivityListener
        {
            ShouldListenTo = source => source.Name == DiffusionGemmaTelemetry.Name,
            Sample = (ref _) => ActivitySamplingResult.AllData,
            ActivityStopped = activity =>
            {
                lock (_ended) _ended.Add(activity);
            },
        };
        ActivitySource.AddActivityListener(_activities);
    }

    public void Dispose()
    {
        _meters.Dispose();
        _activities.Dispose();
    }

    [Fact]
    public async Task Denoising_reports_passes_canvases_and_the_queue()
    {
        using DiffusionGemmaModel model = DiffusionGemmaModel.Load(Folder, CPU, ScalarType.Float32);
        GenerationResult[] results;
        await using (var queue = new GenerationQueue(model, new GenerationOptions { MaxNewTokens = 32 }, batchSize: 2))
        {
            Assert.Equal(new GenerationQueueStatus(0, 0, null, TimeSpan.Zero, null), queue.Status);
            results = await Task.WhenAll(
                Enumerable.Range(5, 3).Select(id => queue.GenerateAsync(new GenerationRequest([2, id]))));
            using var cancelled = new CancellationTokenSource();
            await cancelled.CancelAsync();
            await Assert.ThrowsAnyAsync<OperationCanceledException>(
                () => queue.GenerateAsync(new GenerationRequest([2, 9]), cancelled.Token));
            await queue.GenerateAsync(new GenerationRequest([2, 10]));             // the cancelled one has left by now
            Assert.Equal((0, 0, TimeSpan.Zero), (queue.Status.Waiting, queue.Status.Running, queue.Status.StalledFor));
            Assert.NotNull(queue.Status.SinceLastPass);
        }

        Assert.Equal(results.SelectMany(r => r.StepsPerCanvas).Order().Select(n => (double)n),
            Values("diffusiongemma.denoising.canvas.steps").SkipLast(Last()).Order());
        Assert.Equal(
            results.Select(r => r.TokensPerForward).Order(),
            Values("diffusiongemma.denoising.tokens_per_pass").SkipLast(1).Order());
        Assert.Equal(0, Values("diffusiongemma.queue.waiting").Sum());
        Assert.Equal(0, Values("diffusiongemma.queue.running").Sum());
        Assert.Equal(4, Values("diffusiongemma.queue.wait.duration").Count);
        Assert.All(Values("diffusiongemma.denoising.pass.rows"), rows => Assert.InRange(rows, 1, 2));
        Assert.Equal(Values("diffusiongemma.denoising.pass.rows").Count, Values("diffusiongemma.denoising.pass.duration").Count);

        Activity[] requests = [.. _ended.Where(activity => activity.OperationName == "diffusiongemma.generate")];
        Assert.Equal(5, requests.Length);
        Assert.Equal(1, requests.Count(activity => activity.Status == ActivityStatusCode.Error));
        Assert.All(requests, activity => Assert.Equal(2, activity.GetTagItem("diffusiongemma.prompt.tokens")));
        Assert.Equal(
            results.Select(r => r.Ids.Length).Order(),
            requests.Take(3).Select(activity => (int)activity.GetTagItem("diffusiongemma.answer.tokens")!).Order());

        int Last() => Values("diffusiongemma.denoising.canvas.steps").Count - results.Sum(r => r.StepsPerCanvas.Count);
    }

    [Fact]
    public void Training_reports_every_step()
    {
        using DiffusionGemmaModel model = DiffusionGemmaModel.Load(Folder, CPU, ScalarType.Float32);
        int canvas = model.Config.CanvasLength;
        var ids = Enumerable.Range(0, 8 + canvas).Select(i => 5 + i % 50).ToArray();
        var example = new TrainingExample(ids, [.. Enumerable.Range(0, ids.Length).Select(i => i >= 8)], 8, ids.Length);
        var options = new FineTuneOptions
        {
            Lora = new LoraOptions { Rank = 4 }, MaxSteps = 3, Epochs = 3, GlobalBatchSize = 2, WarmupSteps = 1, Seed = 3,
        };
        FineTuneResult result = FineTuner.Fit(model, [example, example], options);
        StepRecord[] records = [.. result.History];

        Assert.Equal(3, records.Length);
        Assert.Equal(records.Select(r => r.Loss), Values("diffusiongemma.training.loss/total"));
        Assert.Equal(records.Select(r => r.DiffusionLoss), Values("diffusiongemma.training.loss/diffusion"));
        Assert.Equal(records.Select(r => r.EncoderLoss), Values("diffusiongemma.training.loss/encoder"));
        Assert.Equal(records.Select(r => r.GradientNorm), Values("diffusiongemma.training.gradient_norm"));
        Assert.Equal(records.Select(r => r.LearningRate), Values("diffusiongemma.training.learning_rate"));
        Assert.Equal(records.Select(r => (double)r.Tokens), Values("diffusiongemma.training.tokens"));
        Assert.Equal(records.Select(r => r.TokensPerSecond), Values("diffusiongemma.training.tokens_per_second"));
        Assert.Equal(records.Select(r => r.Seconds), Values("diffusiongemma.training.step.duration"));
        Assert.Equal(records.Select(r => r.WaitSeconds), Values("diffusiongemma.training.wait.duration"));
        Activity fit = Assert.Single(_ended, activity => activity.OperationName == "diffusiongemma.fit");
        Assert.Equal(3, fit.GetTagItem("diffusiongemma.fit.steps"));
        Activity[] steps = [.. _ended.Where(activity => activity.OperationName == "diffusiongemma.step")];
        Assert.Equal([1, 2, 3], steps.Select(step => (int)step.GetTagItem("diffusiongemma.step.number")!));
        Assert.All(steps, step => Assert.Equal(fit.SpanId, step.ParentSpanId));
    }

    private List<double> Values(string name)
    {
        lock (_values) return _values.TryGetValue(name, out List<double>? values) ? [.. values] : [];
    }

    private void Add(Instrument instrument, double value, ReadOnlySpan<KeyValuePair<string, object?>> tags)
    {
        string name = tags.Length == 0 ? instrument.Name : $"{instrument.Name}/{tags[0].Value}";
        lock (_values)
        {
            if (!_values.TryGetValue(name, out List<double>? values)) _values[name] = values = [];
            values.Add(value);
        }
    }
}
