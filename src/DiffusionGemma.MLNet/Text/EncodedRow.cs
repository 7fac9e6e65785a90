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
    public static EncodedRow Encode(string messages, ChatTokenizer tokenizer, bool escapesSpecialTokens)
    {
        ReadOnlySpan<char> start = messages.AsSpan().TrimStart();
        if (start is not ['[' or '{', ..])
        {
            throw new ChatException(
                "the text is no conversation in JSON, for example [{\"role\":\"user\",\"content\":\"2+2?\"}]: ChatRows.ToJson makes it "
                    + "of plain text");
        }
        ChatConversation conversation = ChatConversation.Parse(messages);
        bool isBlank = conversation.HasBlankAnswer;
        TokenizedChat chat = isBlank ? Prompt(tokenizer.EncodePrompt(conversation)) : tokenizer.Encode(conversation);
        return new EncodedRow(chat, () =>
        {
            List<string> notes = [.. ChatInspection.FindIgnoredKeys(tokenizer, conversation).Select(RowNote.IgnoredKey)];
            if (isBlank)
                notes.Add(RowNote.EmptyAnswer);
            if (!escapesSpecialTokens && ChatInspection.HoldsSpecialTokens(tokenizer.Tokenizer, conversation))
                notes.Add(RowNote.SpecialToken);
            if (!ChatInspection.LearnsEndOfTurn(tokenizer.Tokenizer, chat))
                notes.Add(RowNote.EndOfTurn);
            return [.. notes];
        });
    }

    private static TokenizedChat Prompt(int[] ids) => new(ids, new bool[ids.Length]);
}
