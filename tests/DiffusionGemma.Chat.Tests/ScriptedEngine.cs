using System.Runtime.CompilerServices;

namespace DiffusionGemma;

/// <summary>Answers what a test says, in canvases of some tokens.</summary>
internal sealed class ScriptedEngine(DiffusionGemmaTokenizer tokenizer, int canvasLength, params string[] answers) : IAnswerEngine
{
    private int _next;

    public List<GenerationRequest> Requests { get; } = [];

    public FinishReason Finish { get; init; } = FinishReason.End;

    public bool IsDisposed { get; private set; }

    public int CanvasesTold { get; private set; }

    public string Prompt(int request) => tokenizer.Decode(Requests[request].Prompt, skipSpecialTokens: false);

    public async IAsyncEnumerable<GenerationUpdate> StreamAsync(GenerationRequest request, [EnumeratorCancellation] CancellationToken cancellation)
    {
        Requests.Add(request);
        int[] ids = [.. tokenizer.EncodeToIds(answers[_next++ % answers.Length])];
        int canvas = 0;
        foreach (int[] part in ids.Chunk(canvasLength))
        {
            await Task.Yield();
            cancellation.ThrowIfCancellationRequested();
            yield return new DraftUpdate(canvas, 0, part, [.. part.Select(_ => true)], 0.1);
            CanvasesTold++;
            yield return new CanvasUpdate(canvas++, part, 1);
        }
        yield return new CompletedUpdate(new GenerationResult(ids, canvas, 1, Finish));
    }

    public void Dispose() => IsDisposed = true;
}
