using System.Globalization;
using Microsoft.Extensions.AI;
using Spectre.Console;
using Spectre.Console.Rendering;

namespace DiffusionGemma;

/// <summary>Shows an unfinished answer: committed text plain, the canvas's settled tokens bright, the others dim.</summary>
internal sealed class CanvasView(DiffusionGemmaTokenizer tokenizer)
{
    private static readonly Style Settled = new(Color.White, decoration: Decoration.Bold),
        Open = new(Color.Grey, decoration: Decoration.Dim);
    private static readonly Style Thought = new(Color.Grey, decoration: Decoration.Italic), Error = new(Color.Red);
    private readonly List<AIContent> _committed = [];

    public void Commit(ChatResponseUpdate update) => _committed.AddRange(update.Contents);

    /// <summary>The answer with this draft of its canvas.</summary>
    public IRenderable Show(DraftUpdate draft)
    {
        Paragraph text = Committed();
        // A character may take several tokens: it has the style of its last.
        var decoder = new StreamingDecoder(tokenizer, skipSpecialTokens: true);
        for (int i = 0; i < draft.Draft.Length; i++)
            Append(text, decoder.Append(draft.Draft[i]), draft.Settled[i] ? Settled : Open);
        Append(text, decoder.Flush(), Open);
        int settled = draft.Settled.Count(isSettled => isSettled);
        string state = string.Create(CultureInfo.InvariantCulture,
            $"canvas {draft.Canvas + 1}, step {draft.Step + 1}, {settled} of {draft.Settled.Length} settled, {draft.MeanEntropy:F2} nats");
        return new Rows(text, new Spectre.Console.Text(state, new Style(Color.Grey)));
    }

    /// <summary>The committed text.</summary>
    public Paragraph Committed()
    {
        var text = new Paragraph();
        foreach (AIContent content in _committed)
            switch (content)
            {
                case TextContent said:
                    Append(text, said.Text, Style.Plain);
                    break;
                case TextReasoningContent thought:
                    Append(text, thought.Text, Thought);
                    break;
                case FunctionCallContent call:
                    Append(text, $"\n[calls {call.Name}]\n", Thought);
                    break;
                case ErrorContent error:
                    Append(text, $"\n{error.Message}\n", Error);
                    break;
            }
        return text;
    }

    private static void Append(Paragraph paragraph, string text, Style style)
    {
        if (text.Length > 0) paragraph.Append(ConsoleText.Safe(text), style);
    }
}
