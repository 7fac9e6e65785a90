using Spectre.Console;

namespace DiffusionGemma;

/// <summary>One row in colour: what is supervised on a background that changes from canvas to canvas.</summary>
/// <param name="screen">A terminal.</param>
/// <param name="writer">Takes plain text.</param>
/// <param name="isPlain">True where there is no colour.</param>
/// <param name="tokens">True for each token on its own; plain.</param>
internal sealed class PreviewPrinter(IAnsiConsole screen, TextWriter writer, bool isPlain, bool tokens)
{
    private static readonly Style Prompt = new(Color.Grey), EarlierTurn = new(Color.Teal),
        Cut = new(Color.Red, decoration: Decoration.Strikethrough);
    private static readonly Style Unsupervised = new(Color.Yellow);
    private static readonly Style[] Canvases = [new(Color.Black, Color.Green), new(Color.Black, Color.Aqua)];
    private static readonly Style[] Fills = [new(Color.Grey, Color.Green4), new(Color.Grey, Color.DarkCyan)];

    private bool HasColour => !isPlain && screen.Profile.Capabilities.ColorSystem != ColorSystem.NoColors;

    public void PrintLegend()
    {
        if (!HasColour)
            return;
        var line = new Paragraph("prompt", Prompt).Append("  ").Append("earlier turn", EarlierTurn).Append("  ")
            .Append("supervised, canvas 0, 2, ...", Canvases[0]).Append(" ")
            .Append("1, 3, ...", Canvases[1]).Append("  ").Append("end tokens that fill a canvas", Fills[0]).Append("  ")
            .Append("cut off", Cut);
        screen.Write(line);
        screen.WriteLine();
    }

    public void Print(ChatPreview preview)
    {
        if (!HasColour)
        {
            preview.Write(writer, tokens);
            writer.WriteLine();
            return;
        }
        string canvases = preview.CanvasCount == 1 ? "1 canvas" : $"{preview.CanvasCount} canvases";
        string state = preview.IsTrained ? $"{canvases} of {preview.CanvasLength}" : preview.IsAnswered
            ? "left out: the cut takes the whole answer" : "left out: no answer";
        string cut = preview.CutTokens > 0 ? $", {preview.CutTokens} tokens cut off" : "";
        screen.Write(new Rule($"{preview.Length} tokens, {preview.PromptLength} of prompt, {state}{cut}")
        {
            Justification = Justify.Left,
        });
        var text = new Paragraph();
        int fill = 0;
        foreach (ChatPreviewToken token in preview.Tokens)
        {
            fill += token.Part == ChatPart.Fill ? 1 : 0;
            if (fill <= 1)
                text.Append(ConsoleText.Safe(token.Piece).Replace("\n", "⏎\n", StringComparison.Ordinal), StyleOf(token));
        }
        if (fill > 1)
            text.Append($" x {fill}", StyleOf(preview.Tokens[^1]));
        screen.Write(text);
        screen.WriteLine();
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
