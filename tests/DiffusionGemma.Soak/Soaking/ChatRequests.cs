using System.Collections.Concurrent;

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
        GenerationQueueStatus status = (_client.GetService(typeof(GenerationQueue)) as GenerationQueue)!.Status;
        if (status is not { Waiting: 0, Running: 0, Failure: null }) throw new InvalidDataException($"The queue is not empty: {status}");
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

    public void Dispose() => _client.Dispose();
}
