using System.Collections.Concurrent;
using System.Diagnostics;

namespace DiffusionGemma.Soak;

/// <summary>
/// Requests to one chat client by many callers, of which a third are cancelled in the middle: every other answer is the one that its
/// question gets alone.
/// </summary>
/// <param name="count">Requests of a slice.</param>
/// <param name="callers">Callers at once.</param>
internal sealed class ChatRequests(int count, int callers) : ISoakPart
{
    private readonly DiffusionGemmaChatClient _client = DiffusionGemmaChatClient.Load(Fixtures.Checkpoint("tiny-chat"));
    private readonly ConcurrentDictionary<int, string> _answers = new();
    private int _next;

    public string Name => $"chat requests of {callers} callers";

    public async Task<Work> RunSliceAsync()
    {
        var chat = new CancelledChat(_client);
        int end = _next + count;
        await Task.WhenAll(Enumerable.Range(0, callers).Select(_ => Task.Run(CallAsync)));
        _next = end;
        await RequireEmptyAsync((_client.GetService(typeof(GenerationQueue)) as GenerationQueue)!);
        if (CancelledChat.CancelEvery * chat.Cancelled < count - CancelledChat.CancelEvery * callers)
            throw new InvalidDataException($"{chat.Cancelled} of {count} requests were cancelled, less than a third.");
        return new Work(chat.Answers, chat.Cancelled);

        async Task CallAsync()
        {
            for (int number; (number = Interlocked.Increment(ref _next) - 1) < end;)
            {
                if (await chat.AskAsync(number) is not { } answer) continue;
                string first = _answers.GetOrAdd(number % CancelledChat.Questions, answer);
                if (first != answer) throw new InvalidDataException($"Request {number} got \"{answer}\", and \"{first}\" before.");
            }
        }
    }

    /// <summary>A request that nobody reads any more ends before the next pass.</summary>
    private static async Task RequireEmptyAsync(GenerationQueue queue)
    {
        long start = Stopwatch.GetTimestamp();
        while (queue.Status is not { Waiting: 0, Running: 0, Failure: null })
        {
            if (Stopwatch.GetElapsedTime(start) > TimeSpan.FromMinutes(1))
                throw new InvalidDataException($"The queue is not empty: {queue.Status}");
            await Task.Delay(10);
        }
    }

    public void Dispose() => _client.Dispose();
}
