namespace DiffusionGemma;

/// <summary>Writes conversations as the JSON of the column <see cref="ChatColumns.Messages"/>.</summary>
public static class ChatRows
{
    /// <summary>Writes a question, and its answer where there is one.</summary>
    /// <example><c>ChatRows.ToJson("2+2?", "4")</c> is
    /// <c>[{"role":"user","content":"2+2?"},{"role":"assistant","content":"4"}]</c>.</example>
    /// <param name="question">The user's message.</param>
    /// <param name="answer">The assistant's message; null: the question is to be answered.</param>
    /// <param name="system">A message before the question; null: none.</param>
    /// <exception cref="ArgumentException">A text is no valid UTF-16.</exception>
    public static string ToJson(string question, string? answer = null, string? system = null)
    {
        ArgumentNullException.ThrowIfNull(question);
        return ToJson(new QuestionAnswer(question, answer, system).Messages);
    }

    /// <summary>Writes messages.</summary>
    /// <param name="messages">The conversation, in order.</param>
    /// <exception cref="ArgumentException">A text is no valid UTF-16.</exception>
    public static string ToJson(IEnumerable<ConversationMessage> messages)
    {
        ArgumentNullException.ThrowIfNull(messages);
        return ConversationMessage.ToJson(messages);
    }
}
