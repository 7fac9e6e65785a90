namespace DiffusionGemma;

/// <summary>One conversation as training would see it: tokens, supervised part, canvases, and the part that is cut off.</summary>
/// <remarks><see cref="ToString"/> prints it with the supervised part marked.</remarks>
public sealed record ChatPreview
{
    private ChatPreview()
    {
    }

    /// <summary>Every token of the conversation, then the fill, then the part that is cut off.</summary>
    public required IReadOnlyList<ChatPreviewToken> Tokens { get; init; }

    /// <summary>Token ids as training gets them: cut, and with the fill.</summary>
    public required IReadOnlyList<int> Ids { get; init; }

    /// <summary>Tokens of the conversation, before packing.</summary>
    public required int Length { get; init; }

    /// <summary>Tokens before the response; all of them where there is none.</summary>
    public required int PromptLength { get; init; }

    /// <summary>Tokens a canvas.</summary>
    public required int CanvasLength { get; init; }

    /// <summary>Canvases that the packed response takes; 0 where there is nothing to train on.</summary>
    public required int CanvasCount { get; init; }

    /// <summary>The packed length with padding; 0 where there is nothing to train on.</summary>
    public required int PaddedLength { get; init; }

    /// <summary>Tokens that lie beyond the maximum length.</summary>
    public required int CutTokens { get; init; }

    /// <summary>Tokens a row at most.</summary>
    public required int MaxLength { get; init; }

    /// <summary>True where the conversation ends in the assistant's answer.</summary>
    public required bool IsAnswered { get; init; }

    /// <summary>Notes on what training would miss in the row, as in <see cref="ChatColumns.RowNotes"/>.</summary>
    public required IReadOnlyList<string> Notes { get; init; }

    /// <summary>True where training would use the row: it has an answer, and the cut leaves some of it.</summary>
    public bool IsTrained => CanvasCount > 0;

    /// <summary>Writes the preview for a person to read.</summary>
    /// <param name="writer">Where to.</param>
    /// <param name="tokens">Also every token with its id, one a line.</param>
    public void Write(TextWriter writer, bool tokens = false)
    {
        ArgumentNullException.ThrowIfNull(writer);
        ChatPreviewWriter.Write(this, writer, tokens);
    }

    /// <summary>The preview for a person to read: a line for each part, those that are supervised marked with #.</summary>
    public override string ToString()
    {
        var writer = new StringWriter { NewLine = "\n" };
        Write(writer);
        return writer.ToString();
    }

    internal static ChatPreview Create(EncodedRow row, DiffusionGemmaTokenizer tokenizer, PackingOptions options)
    {
        TokenizedChat chat = row.Chat;
        (bool[] lossMask, int promptLength) = ResponseMaskingTransformer.LastRun(chat.AssistantMask);
        PackedRow packed = PackedRow.Pack(chat.Ids, lossMask, options);
        int kept = chat.Ids.Length - packed.CutTokens;

        ChatPreviewToken Token(int at)
        {
            bool isFill = at >= chat.Ids.Length;
            int id = isFill ? packed.InputIds[at] : chat.Ids[at];
            ChatPart part = isFill ? ChatPart.Fill
                : at >= kept ? ChatPart.Cut
                : at >= promptLength ? ChatPart.Response
                : chat.AssistantMask[at] ? ChatPart.EarlierTurn
                : ChatPart.Prompt;
            bool isOnCanvas = packed.CanvasCount > 0 && part is ChatPart.Response or ChatPart.Fill;
            string piece = tokenizer.TokenOf(id)?.Replace('▁', ' ') ?? "";
            return new ChatPreviewToken(id, piece, part, isOnCanvas && packed.LossMask[at], isOnCanvas
                ? (at - promptLength) / options.CanvasLength : null);
        }

        return new ChatPreview
        {
            Tokens = [.. Enumerable.Range(0, Math.Max(chat.Ids.Length, packed.InputIds.Length)).Select(Token)],
            Ids = packed.InputIds,
            Length = chat.Ids.Length,
            PromptLength = promptLength,
            CanvasLength = options.CanvasLength,
            CanvasCount = packed.CanvasCount,
            PaddedLength = packed.PaddedLength,
            CutTokens = packed.CutTokens,
            MaxLength = options.MaxLength,
            IsAnswered = promptLength < chat.Ids.Length,
            Notes = row.Notes,
        };
    }
}
