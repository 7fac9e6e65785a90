namespace DiffusionGemma;

/// <summary>The load of a <see cref="GenerationQueue"/> at one moment.</summary>
/// <param name="Waiting">Requests that wait for room in the batch.</param>
/// <param name="Running">Requests in the batch.</param>
/// <param name="SinceLastPass">Time since the last decoder pass; null: there was none yet.</param>
/// <param name="StalledFor">Time that the batch's requests have waited for a decoder pass; zero where it is empty.</param>
/// <param name="Failure">The error that ended the queue, which takes no more requests; null: it works, or was disposed.</param>
public sealed record GenerationQueueStatus(int Waiting, int Running, TimeSpan? SinceLastPass, TimeSpan StalledFor, Exception? Failure);
