namespace DiffusionGemma;

/// <summary>A conversation as training reads it: its tokens, and notes that are computed when they are asked for.</summary>
internal sealed class EncodedRow
{
    private readonly Lazy<string[]> _notes;

    private EncodedRow(TokenizedChat chat, Func<string[]> notes)
    {
        Chat = chat;
        _notes = new Lazy<string[]>(notes);
    }

    /// <summary>Ids and mask; a row with a blank answer is a prompt that waits for one.</summary>
    public TokenizedChat Chat { get; }

    /// <summary>Values of <see cref="ChatColumns.RowNotes"/>.</summary>
    public string[] Notes => _notes.Value;

    /// <exception cref="ChatException">The row is malformed, or the template refuses it.</exception>
    public static EncodedRow Encode(string messages, ChatTokenizer tokenizer)
    {
        ReadOnlySpan<char> start = messages.AsSpan().TrimStart();
        if (start is not ['[' or '{', ..])
        {
            throw new ChatException(
                "the text is no conversation in JSON, for example [{\"role\":\"user\",\"content\":\"2+2?\"}]: ChatRows.ToJson makes it "
                    + "of plain text");
        }
        ChatConversation conversation = ChatConversation.Parse(messages);
        bool isBlank = tokenizer.HasBlankAnswer(conversation);
        TokenizedChat chat = isBlank ? Prompt(tokenizer.EncodePrompt(conversation)) : tokenizer.Encode(conversation);
        return new EncodedRow(chat, () =>
        {
            List<string> notes =
            [
                .. tokenizer.Template.FindIgnoredKeys(conversation).Select(RowNote.IgnoredKey),
                .. conversation.UnknownRoles.Select(RowNote.UnknownRole),
            ];
            if (conversation.UnknownLastRole is { } role)
                notes.Add(RowNote.UnknownLastRole(role));
            if (isBlank)
                notes.Add(RowNote.EmptyAnswer);
            if (!tokenizer.Options.EscapeSpecialTokens && tokenizer.FindSpecialTokens(conversation).Count > 0)
                notes.Add(RowNote.SpecialToken);
            if (!ChatInspection.LearnsEndOfTurn(tokenizer.Tokenizer, chat))
                notes.Add(RowNote.EndOfTurn);
            if (!isBlank && conversation.IsAnswered)
                notes.AddRange(TemplateNotices(tokenizer).Select(RowNote.Template));
            return [.. notes];
        });
    }

    /// <summary>Findings about the template itself; each row's end of turn is looked at in the row.</summary>
    private static IEnumerable<string> TemplateNotices(ChatTokenizer tokenizer)
    {
        ChatTemplateReport report = tokenizer.TemplateReport;
        if (report.PromptNotice is { } notice && !tokenizer.Options.TrainOnGenerationPrompt)
            yield return notice;
        if (report.UnlearnedAnswer is { } unlearned)
            yield return unlearned;
    }

    private static TokenizedChat Prompt(int[] ids) => new(ids, new bool[ids.Length]);
}
