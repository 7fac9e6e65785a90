using System.Globalization;

namespace DiffusionGemma;

/// <summary>
/// Prints a preview.
/// <code>
/// 29 tokens: prompt 15, response 14; 18 of fill make 1 canvas of 32; 47 tokens packed, padded to 64
///   prompt     | &lt;bos&gt;&lt;|turn&gt;user⏎
///              | What is 8 plus 7?&lt;turn|&gt;⏎
///              | &lt;|turn&gt;model⏎
/// # canvas 0   | 8 plus 7 is 15.&lt;turn|&gt;⏎
/// # fill       | &lt;eos&gt; x 18
/// </code>
/// </summary>
internal static class ChatPreviewWriter
{
    private const int LabelWidth = 12;

    public static void Write(ChatPreview preview, TextWriter writer, bool tokens)
    {
        writer.WriteLine(Headline(preview));
        foreach (ArraySegment<ChatPreviewToken> run in Runs([.. preview.Tokens]))
            WriteRun(run, writer);
        foreach (string note in preview.Notes)
            writer.WriteLine($"! {note}");
        if (!tokens)
            return;
        for (int at = 0; at < preview.Tokens.Count; at++)
        {
            ChatPreviewToken token = preview.Tokens[at];
            writer.WriteLine(string.Create(CultureInfo.InvariantCulture,
                $"{(token.IsSupervised ? '#' : ' ')} {at,6} {token.Id,8}  {Visible(token.Piece)}"));
        }
    }

    private static string Headline(ChatPreview preview)
    {
        int fill = preview.Tokens.Count(token => token.Part == ChatPart.Fill);
        string cut = preview.CutTokens == 0 ? "" : string.Create(CultureInfo.InvariantCulture,
            $"; {preview.CutTokens} cut off at {preview.MaxLength}");
        return string.Create(CultureInfo.InvariantCulture,
            $"{preview.Length} tokens: prompt {preview.PromptLength}, response {preview.Length - preview.PromptLength}{cut}")
            + (preview.IsTrained
                ? string.Create(CultureInfo.InvariantCulture,
                    $"; {fill} of fill make {preview.CanvasCount} {(preview.CanvasCount == 1 ? "canvas" : "canvases")} of "
                        + $"{preview.CanvasLength}; {preview.Ids.Count} tokens packed, padded to {preview.PaddedLength}")
                : preview.IsAnswered ? "; left out of training: nothing of the response is left"
                    : preview.Notes.Contains(RowNote.EmptyAnswer) ? "; left out of training: the answer is empty"
                : "; left out of training: there is no answer");
    }

    /// <summary>Neighbours that are shown together.</summary>
    private static IEnumerable<ArraySegment<ChatPreviewToken>> Runs(ChatPreviewToken[] tokens)
    {
        for (int start = 0, end; start < tokens.Length; start = end)
        {
            for (end = start + 1; end < tokens.Length && Alike(tokens[start], tokens[end]); end++)
            {
            }
            yield return new ArraySegment<ChatPreviewToken>(tokens, start, end - start);
        }

        static bool Alike(ChatPreviewToken a, ChatPreviewToken b) =>
            (a.Part, a.IsSupervised, a.Canvas) == (b.Part, b.IsSupervised, b.Canvas);
    }

    private static void WriteRun(ArraySegment<ChatPreviewToken> run, TextWriter writer)
    {
        ChatPreviewToken first = run[0];
        string label = first.Part switch
        {
            ChatPart.Prompt => "prompt",
            ChatPart.EarlierTurn => "earlier",
            ChatPart.Cut => "cut off",
            ChatPart.Fill => "fill",
            _ => first.Canvas is { } canvas ? string.Create(CultureInfo.InvariantCulture, $"canvas {canvas}") : "response",
        };
        char mark = first.IsSupervised ? '#' : ' ';
        foreach (string line in Lines(run))
        {
            writer.WriteLine($"{mark} {label.PadRight(LabelWidth - 2)} | {line}");
            label = "";
        }
    }

    private static IEnumerable<string> Lines(ArraySegment<ChatPreviewToken> run)
    {
        if (run[0].Part == ChatPart.Fill)
            return [string.Create(CultureInfo.InvariantCulture, $"{run[0].Piece} x {run.Count}")];
        string[] lines = Visible(string.Concat(run.Select(token => token.Piece))).Split('\n');
        return lines is [.., ""] ? lines[..^1] : lines;
    }

    /// <summary>A line feed stays one and is seen; other control characters are only seen.</summary>
    private static string Visible(string text) => string.Concat(text.Select(c => c switch
    {
        '\n' => "⏎\n",
        < ' ' => ((char)('\u2400' + c)).ToString(),
        _ => c.ToString(),
    }));
}
