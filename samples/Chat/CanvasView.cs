using Spectre.Console;
using Spectre.Console.Rendering;

namespace DiffusionGemma.Samples;

/// <summary>An answer as it comes about: committed text plain, the canvas' settled tokens bright, the others dim.</summary>
internal sealed class CanvasView(DiffusionGemmaTokenizer tokenizer)
{
    private readonly List<int> _committed = [];

    /// <summary>Decoder passes so far.</summary>
    public int Steps { get; private set; }

    public IRenderable Show(DraftUpdate draft)
    {
        Steps++;
        var text = new Paragraph();
        text.Append(tokenizer.Decode(_committed, skipSpecialTokens: true));
        // Runs of one kind are decoded together: a character may take several tokens.
        for (int from = 0; from < draft.Draft.Length;)
        {
            int to = from;
            while (to < draft.Draft.Length && draft.Settled[to] == draft.Settled[from]) to++;
            text.Append(tokenizer.Decode(draft.Draft[from..to], skipSpecialTokens: true), new Style(decoration: draft.Settled[from] ? Decoration.Bold : Decoration.Dim));
            from = to;
        }
        return new Rows(text, new Markup($"[grey]canvas {draft.Canvas + 1}, step {draft.Step + 1}, {draft.MeanEntropy:F2} nats[/]"));
    }

    public void Commit(CanvasUpdate canvas) => _committed.AddRange(canvas.Ids);

    public IRenderable Result() => new Paragraph(tokenizer.Decode(_committed, skipSpecialTokens: true));
}
