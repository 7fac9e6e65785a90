using System.Diagnostics;
using System.Globalization;
using Microsoft.Extensions.AI;
using Microsoft.Extensions.DependencyInjection;

namespace DiffusionGemma;

/// <summary>
/// Many callers at once, for a second here. DIFFUSIONGEMMA_LOAD_SECONDS=60 makes the measurement of docs/serving.md, on a quiet machine.
/// </summary>
public sealed class LoadTests(ITestOutputHelper output)
{
    private const string Variable = "DIFFUSIONGEMMA_LOAD_SECONDS";
    private const int Questions = 64, Tokens = 64;

    [Fact]
    public async Task No_request_is_lost_and_every_answer_is_the_queues_own_for_its_seed()
    {
        double? asked = Environment.GetEnvironmentVariable(Variable) is { Length: > 0 } text
            ? double.Parse(text, CultureInfo.InvariantCulture) : null;
        int callers = asked is null ? 16 : 64;
        TimeSpan time = TimeSpan.FromSeconds(asked ?? 1);
        await using TestServer server = await TestServer.StartAsync();
        DiffusionGemmaChatClient queue = await server.Application.Services.GetRequiredService<DiffusionGemmaService>().GetClientAsync();
        string[] expected = await Task.WhenAll(Enumerable.Range(0, Questions).Select(async i => (await QueueAsync(queue, i)).Text));

        LoadFigures before = await LoadFigures.MeasureAsync(callers, time / 3, i => QueueAsync(queue, i % Questions));
        var memory = new List<long>();
        using var end = new CancellationTokenSource();
        Task sampling = SampleAsync(memory, end.Token);
        using var http = new OpenAIStream(server.Address);
        LoadFigures served = await LoadFigures.MeasureAsync(
            callers, time, i => http.AskAsync(Question(i % Questions), Seed(i % Questions), Tokens));
        await end.CancelAsync();
        await sampling;
        LoadFigures after = await LoadFigures.MeasureAsync(callers, time / 3, i => QueueAsync(queue, i % Questions));

        double own = (before.PerSecond + after.PerSecond) / 2;
        output.WriteLine($"queue alone: {own:F1} answers/s (before {before.PerSecond:F1}, after {after.PerSecond:F1})");
        output.WriteLine(
            $"served: {served.PerSecond:F1} answers/s, {served.PerSecond / own:F2} of the queue's own; {served.Answers.Count} answers");
        output.WriteLine($"first canvas: p50 {served.First(0.5):F0} ms, p99 {served.First(0.99):F0} ms (queue alone: "
            + $"{before.First(0.5):F0}, {before.First(0.99):F0})");
        output.WriteLine($"end: p50 {served.End(0.5):F0} ms, p99 {served.End(0.99):F0} ms (queue alone: "
            + $"{before.End(0.5):F0}, {before.End(0.99):F0})");
        output.WriteLine($"memory in MB, a second each: {string.Join(' ', memory.Select(bytes => bytes >> 20))}");

        Assert.All(served.Answers, answer => Assert.Equal(expected[answer.Index % Questions], answer.Text));
        Assert.Equal(served.Asked, served.Answers.Count);
        Assert.True(served.Answers.Count >= callers, $"{served.Answers.Count} answers");
        GenerationQueueStatus status = queue.GetService<GenerationQueue>()!.Status;
        Assert.Equal((0, 0), (status.Waiting, status.Running));
        if (asked is not >= 30) return;
        Assert.InRange(served.PerSecond / own, 0.9, double.MaxValue);
        // The heap breathes between collections: the second half against the first.
        long[] later = [.. memory.Skip(10)];
        double first = later[..(later.Length / 2)].Average(), second = later[(later.Length / 2)..].Average();
        Assert.InRange(second / first, 0, 1.05);
    }

    private static string Question(int index) => $"What is {2 + index % 9} plus {3 + index / 9}?";

    private static int Seed(int index) => 100 + index;

    private static async Task<LoadAnswer> QueueAsync(DiffusionGemmaChatClient queue, int index)
    {
        var answer = new LoadAnswer(index);
        var options = new ChatOptions { Seed = Seed(index), MaxOutputTokens = Tokens };
        await foreach (ChatResponseUpdate update in queue.GetStreamingResponseAsync([new(ChatRole.User, Question(index))], options))
            answer.Append(update.Text);
        return answer.Complete();
    }

    private static async Task SampleAsync(List<long> memory, CancellationToken end)
    {
        while (!end.IsCancellationRequested)
        {
            using var process = Process.GetCurrentProcess();
            memory.Add(process.WorkingSet64);
            await Task.Delay(1000, end).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        }
    }
}
