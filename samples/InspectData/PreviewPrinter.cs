using Spectre.Console;

namespace DiffusionGemma.Samples;

/// <summary>One row in colour: what is supervised on a background that changes from canvas to canvas.</summary>
internal static class PreviewPrinter
{
    private static readonly Style Prompt = new(Color.Grey), EarlierTurn = new(Color.Teal),
        Cut = new(Color.Red, decoration: Decoration.Strikethrough);
    private static readonly Style Unsupervised = new(Color.Yellow);
    private static readonly Style[] Canvases = [new(Color.Black, Color.Green), new(Color.Black, Color.Aqua)];
    private static readonly Style[] Fills = [new(Color.Grey, Color.Green4), new(Color.Grey, Color.DarkCyan)];

    private static bool HasColour => AnsiConsole.Profile.Capabilities.ColorSystem != ColorSystem.NoColors;

    public static void PrintLegend()
    {
        if (!HasColour)
            return;
        var line = new Paragraph("prompt", Prompt).Append("  ").Append("earlier turn", EarlierTurn).Append("  ")
            .Append("supervised, canvas 0, 2, ...", Canvases[0]).Append(" ")
            .Append("1, 3, ...", Canvases[1]).Append("  ").Append("end tokens that fill a canvas", Fills[0]).Append("  ")
                .Append("cut off", Cut);
        AnsiConsole.Write(line);
        AnsiConsole.WriteLine();
    }

    public static void Print(ChatPreview preview)
    {
        if (!HasColour)
        {
            preview.Write(Console.Out);
            Console.WriteLine();
            return;
        }
        string canvases = preview.CanvasCount == 1 ? "1 canvas" : $"{preview.CanvasCount} canvases";
        string state = preview.IsTrained ? $"{canvases} of {preview.CanvasLength}" : preview.IsAnswered
            ? "left out: the cut takes the whole answer" : "left out: no answer";
        string cut = preview.CutTokens > 0 ? $", {preview.CutTokens} tokens cut off" : "";
        AnsiConsole.Write(new Rule($"{preview.Length} tokens, {preview.PromptLength} of prompt, {state}{cut}")
        {
            Justification =
            Justify.Left
        });
        var text = new Paragraph();
        int fill = 0;
        foreach (ChatPreviewToken token in preview.Tokens)
        {
            fill += token.Part == ChatPart.Fill ? 1 : 0;
            if (fill <= 1)
                text.Append(token.Piece.Replace("\n", "⏎\n", StringComparison.Ordinal), StyleOf(token));
        }
        if (fill > 1)
            text.Append($" x {fill}", StyleOf(preview.Tokens[^1]));
        AnsiConsole.Write(text);
        AnsiConsole.WriteLine();
    }

    private static Style StyleOf(ChatPreviewToken token) => token.Part switch
    {
        ChatPart.Prompt => Prompt,
        ChatPart.EarlierTurn => EarlierTurn,
        ChatPart.Cut => Cut,
        ChatPart.Fill => Fills[token.Canvas!.Value % Fills.Length],
        _ => token is { IsSupervised: true, Canvas: { } canvas } ? Canvases[canvas % Canvases.Length] : Unsupervised,
    };
}
