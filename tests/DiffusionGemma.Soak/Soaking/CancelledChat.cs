using Microsoft.Extensions.AI;

namespace DiffusionGemma.Soak;

/// <summary>
/// Asks a chat client; every third request is cancelled after a few denoising steps, by its token or by reading no further.
/// </summary>
/// <param name="client">Answers the questions.</param>
internal sealed class CancelledChat(DiffusionGemmaChatClient client)
{
    private const int CancelEvery = 3, Tokens = 32;

    private long _answers;

    /// <summary>Different questions.</summary>
    public const int Questions = 60;

    /// <summary>Requests that were answered to their end.</summary>
    public long Answers => Volatile.Read(ref _answers);

    /// <summary>Makes a request.</summary>
    /// <returns>The answer; null: it was cancelled.</returns>
    /// <exception cref="InvalidDataException">It ended otherwise.</exception>
    public async Task<string?> AskAsync(int number)
    {
        bool cancels = number % CancelEvery == 0, byToken = number % (2 * CancelEvery) == 0;
        int drafts = 1 + (number / CancelEvery) % 4;
        string text = "";
        using var cancel = new CancellationTokenSource();
        var options = new ChatOptions { Seed = number % Questions, MaxOutputTokens = Tokens };
        try
        {
            await foreach (ChatResponseUpdate update in
                client.GetStreamingResponseAsync([new(ChatRole.User, Question(number))], options, streamsDrafts: true, cancel.Token))
            {
                text += update.Text;
                if (!cancels || update.RawRepresentation is not DraftUpdate || --drafts > 0) continue;
                if (!byToken) return null;
                await cancel.CancelAsync();
            }
        }
        catch (OperationCanceledException) when (cancel.IsCancellationRequested)
        {
            return null;
        }
        // Where it was cancelled at its last step, the answer was on its way.
        if (text.Length == 0) throw new InvalidDataException($"Request {number} has no answer.");
        Interlocked.Increment(ref _answers);
        return text;
    }

    private static string Question(int number) => $"What is {2 + number % 10} plus {3 + number % Questions / 10}?";
}
