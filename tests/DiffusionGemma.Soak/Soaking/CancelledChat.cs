using Microsoft.Extensions.AI;

namespace DiffusionGemma.Soak;

/// <summary>
/// Asks a chat client, and cancels a third of the requests after a few denoising steps, by the token or by reading no further. Those take
/// all steps of a canvas, so that the answer does not come before; where it does, a later request is cancelled in its place.
/// </summary>
/// <param name="client">Answers the questions.</param>
internal sealed class CancelledChat(DiffusionGemmaChatClient client)
{
    private const int Tokens = 32, CanvasSteps = 24, MostSteps = 4;

    private readonly Lock _counts = new();
    private int _begun, _cancelling, _answers, _cancelled;

    /// <summary>One of so many requests is cancelled.</summary>
    public const int CancelEvery = 3;

    /// <summary>Different questions.</summary>
    public const int Questions = 60;

    /// <summary>Requests that were answered to their end.</summary>
    public int Answers => Volatile.Read(ref _answers);

    /// <summary>Requests that ended cancelled.</summary>
    public int Cancelled => Volatile.Read(ref _cancelled);

    /// <summary>Makes a request.</summary>
    /// <returns>The answer; null: it was cancelled, or was to be.</returns>
    /// <exception cref="InvalidDataException">It ended otherwise.</exception>
    public async Task<string?> AskAsync(int number)
    {
        if (Begin())
        {
            bool isCancelled = await AskAsync(number, 1 + new Random(number).Next(MostSteps), byToken: number % 2 == 0) is null;
            if (isCancelled) Interlocked.Increment(ref _cancelled);
            else lock (_counts) _cancelling--;
            return null;
        }
        string text = await AskAsync(number, cancelAfter: null, byToken: false) ?? "";
        if (text.Length == 0) throw new InvalidDataException($"Request {number} has no answer.");
        Interlocked.Increment(ref _answers);
        return text;
    }

    /// <summary>Counts a request.</summary>
    /// <returns>True if it is to be cancelled.</returns>
    private bool Begin()
    {
        lock (_counts)
        {
            _begun++;
            bool cancels = CancelEvery * _cancelling < _begun;
            if (cancels) _cancelling++;
            return cancels;
        }
    }

    /// <param name="number">Number of the request.</param>
    /// <param name="cancelAfter">Denoising steps after which it is cancelled; null: it is not.</param>
    /// <param name="byToken">True: by the token; false: by reading no further.</param>
    /// <returns>The answer; null: it was cancelled.</returns>
    private async Task<string?> AskAsync(int number, int? cancelAfter, bool byToken)
    {
        string text = "";
        using var cancel = new CancellationTokenSource();
        var options = new ChatOptions
        {
            Seed = number % Questions, MaxOutputTokens = Tokens,
            RawRepresentationFactory = cancelAfter is null ? null : _ => new GenerationOptions { StabilityThreshold = CanvasSteps },
        };
        int steps = 0;
        try
        {
            await foreach (ChatResponseUpdate update in
                client.GetStreamingResponseAsync([new(ChatRole.User, Question(number))], options, streamsDrafts: true, cancel.Token))
            {
                text += update.Text;
                if (update.RawRepresentation is not DraftUpdate || ++steps != cancelAfter) continue;
                if (!byToken) return null;
                await cancel.CancelAsync();
            }
        }
        catch (OperationCanceledException) when (cancel.IsCancellationRequested)
        {
            return null;
        }
        return text;
    }

    private static string Question(int number) => $"What is {2 + number % 10} plus {3 + number % Questions / 10}?";
}
