namespace DiffusionGemma;

/// <summary>Finds what training on a conversation would miss or learn by mistake.</summary>
public static class ChatInspection
{
    /// <summary>
    /// Finds the keys of messages and row that do not change the rendered text, such as <c>weight</c> or a <c>reasoning_content</c> that
    /// the chat template does not write.
    /// </summary>
    /// <param name="tokenizer">The checkpoint's tokenizer and template.</param>
    /// <param name="conversation">The row; <c>role</c> and <c>content</c>, and keys without a value, are not looked at.</param>
    /// <returns>The keys in the order of the row.</returns>
    /// <exception cref="ChatException">The template refuses the conversation.</exception>
    public static IReadOnlyList<string> FindIgnoredKeys(ChatTokenizer tokenizer, ChatConversation conversation)
    {
        ArgumentNullException.ThrowIfNull(tokenizer);
        ArgumentNullException.ThrowIfNull(conversation);
        string[] keys = [.. conversation.ExtraKeys];
        if (keys.Length == 0)
            return [];
        string text = Render(conversation);
        if (IsSame([.. keys]))
            return keys;
        // One after another, so that of two keys with one meaning only the unread one is named.
        HashSet<string> ignored = [];
        foreach (string key in keys)
        {
            if (IsSame([.. ignored, key]))
                ignored.Add(key);
        }
        return [.. keys.Where(ignored.Contains)];

        bool IsSame(HashSet<string> without)
        {
            try
            {
                return Render(conversation.WithoutKeys(without)) == text;
            }
            catch (ChatException)
            {
                return false;                                       // the template needs the key
            }
        }

        string Render(ChatConversation row) => tokenizer.Template.Render(row, addGenerationPrompt: !row.IsAnswered).Text;
    }

    /// <summary>True where a text of the row holds the text of a special token, which becomes that token unless it is escaped.</summary>
    /// <param name="tokenizer">The checkpoint's tokenizer.</param>
    /// <param name="conversation">The row.</param>
    public static bool HoldsSpecialTokens(DiffusionGemmaTokenizer tokenizer, ChatConversation conversation)
    {
        ArgumentNullException.ThrowIfNull(tokenizer);
        ArgumentNullException.ThrowIfNull(conversation);
        bool holds = false;
        _ = conversation.WithTexts(text =>
        {
            holds = holds || tokenizer.HoldsSpecialToken(text);
            return text;
        });
        return holds;
    }

    /// <summary>
    /// False where the answer's end of turn is no part of the assistant's mask, so that training would not teach to end a turn.
    /// </summary>
    /// <param name="tokenizer">The checkpoint's tokenizer.</param>
    /// <param name="chat">An answered conversation.</param>
    public static bool LearnsEndOfTurn(DiffusionGemmaTokenizer tokenizer, TokenizedChat chat)
    {
        ArgumentNullException.ThrowIfNull(tokenizer);
        ArgumentNullException.ThrowIfNull(chat);
        int last = Array.LastIndexOf(chat.AssistantMask, true);
        if (last < 0)
            return true;
        // A template may write white space behind the token that ends a turn.
        for (int at = last; at >= 0 && chat.AssistantMask[at]; at--)
        {
            if (tokenizer.IsSpecial(chat.Ids[at]))
                return true;
            if (!string.IsNullOrWhiteSpace(tokenizer.Decode([chat.Ids[at]])))
                break;
        }
        return !Array.Exists(chat.Ids[(last + 1)..], tokenizer.IsSpecial);
    }
}
