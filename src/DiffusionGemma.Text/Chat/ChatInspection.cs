namespace DiffusionGemma;

/// <summary>Finds what training on a conversation would miss or learn by mistake.</summary>
public static class ChatInspection
{
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
