using System.Globalization;
using Microsoft.Extensions.AI;
using Spectre.Console;
using Spectre.Console.Rendering;

namespace DiffusionGemma.Samples;

/// <summary>An answer as it comes about: what is committed plain, the canvas' settled tokens bright, its others dim.</summary>
internal sealed class CanvasView(DiffusionGemmaTokenizer tokenizer)
{
    private static readonly Style s_settled = new(Color.White, decoration: Decoration.Bold), s_open = new(Color.Grey, decoration: Decoration.Dim);
    private static readonly Style s_thought = new(Color.Grey, decoration: Decoration.Italic), s_error = new(Color.Red);
    private readonly List<AIContent> _committed = [];

    public void Commit(ChatResponseUpdate update) => _committed.AddRange(update.Contents);

    /// <summary>The answer with this draft of its canvas.</summary>
    public IRenderable Show(DraftUpdate draft)
    {
        Paragraph text = Committed();
        // A character may take several tokens: it has the style of its last.
        var decoder = new StreamingDecoder(tokenizer, skipSpecialTokens: true);
        for (int i = 0; i < draft.Draft.Length; i++)
            Append(text, decoder.Append(draft.Draft[i]), draft.Settled[i] ? s_settled : s_open);
        Append(text, decoder.Flush(), s_open);
        int settled = draft.Settled.Count(isSettled => isSettled);
        string state = string.Create(
            CultureInfo.InvariantCulture, $"canvas {draft.Canvas + 1}, step {draft.Step + 1}, {settled} of {draft.Settled.Length} settled, {draft.MeanEntropy:F2} nats");
        return new Rows(text, new Spectre.Console.Text(state, new Style(Color.Grey)));
    }

    /// <summary>What is committed.</summary>
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
                    Append(text, thought.Text, s_thought);
                    break;
                case FunctionCallContent call:
                    Append(text, $"\n[calls {call.Name}]\n", s_thought);
                    break;
                case ErrorContent error:
                    Append(text, $"\n{error.Message}\n", s_error);
                    break;
            }
        return text;
    }

    private static void Append(Paragraph paragraph, string text, Style style)
    {
        if (text.Length > 0) paragraph.Append(ConsoleText.Safe(text), style);
    }
}
