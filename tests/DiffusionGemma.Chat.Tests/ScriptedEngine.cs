using System.Collections.Concurrent;
using System.Runtime.CompilerServices;

namespace DiffusionGemma;

/// <summary>An engine that says what it is told, a canvas at a time, and notes what it was asked.</summary>
internal sealed class ScriptedEngine(Func<GenerationRequest, IEnumerable<int[]>> answer, FinishReason finish = FinishReason.End)
    : IAnswerEngine
{
    /// <summary>Decoder passes that a canvas takes.</summary>
    public const int StepsPerCanvas = 2;

    private int _canvases;

    public ConcurrentQueue<GenerationRequest> Requests { get; } = [];

    /// <summary>Number of finished canvases, over all requests.</summary>
    public int Canvases => _canvases;

    public bool IsDisposed { get; private set; }

    /// <summary>Awaited before each canvas.</summary>
    public Func<int, CancellationToken, Task>? BeforeCanvas { get; init; }

    public async IAsyncEnumerable<GenerationUpdate> StreamAsync(
        GenerationRequest request, [EnumeratorCancellation] CancellationToken cancellation)
    {
        Requests.Enqueue(request);
        List<int> ids = [];
        int canvas = 0;
        foreach (int[] next in answer(request))
        {
            await Task.Yield();
            if (BeforeCanvas is not null) await BeforeCanvas(canvas, cancellation);
            cancellation.ThrowIfCancellationRequested();
            Interlocked.Increment(ref _canvases);
            yield return new DraftUpdate(canvas, 0, next, new bool[next.Length], 1);
            yield return new CanvasUpdate(canvas, next, StepsPerCanvas);
            ids.AddRange(next);
            canvas++;
        }
        int steps = canvas * StepsPerCanvas;
        yield return new CompletedUpdate(new GenerationResult([.. ids], steps, ids.Count / (double)Math.Max(1, steps), finish));
    }

    public void Dispose() => IsDisposed = true;
}
