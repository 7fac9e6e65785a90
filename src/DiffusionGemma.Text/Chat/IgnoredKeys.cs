using DiffusionGemma.Jinja;

namespace DiffusionGemma;

/// <summary>Finds the keys of a conversation that never reach the rendered text, by rendering with and without each.</summary>
internal static class IgnoredKeys
{
    private const string RoleKey = "role";
    private const string ContentKey = "content";

    public static IReadOnlyList<string> Find(ChatTemplate template, ChatConversation conversation)
    {
        bool prompt = !conversation.IsAnswered;
        string page = template.Render(conversation, prompt).Text;
        List<string> ignored = [];
        foreach (string key in MessageKeys(conversation))
        {
            if (key == ContentKey && AllContentIsIn(page, conversation)) continue;
            if (RendersTheSame(WithoutMessageKey(conversation, key))) ignored.Add(key);
        }
        foreach (string key in conversation.ArgumentKeys.Except(ignored).ToArray())
        {
            if (RendersTheSame(conversation.WithoutArgument(key))) ignored.Add(key);
        }
        return ignored;

        bool RendersTheSame(ChatConversation other)
        {
            try
            {
                return template.Render(other, prompt).Text == page;
            }
            catch (ChatException)
            {
                return false;           // the template asks for the key
            }
        }
    }

    private static string[] MessageKeys(ChatConversation conversation) =>
        [.. Messages(conversation).SelectMany(message => message).Where(item => item.Key is not RoleKey && !IsEmpty(item.Value))
            .Select(item => item.Key).OfType<string>().Distinct()];

    private static IEnumerable<PyDict> Messages(ChatConversation conversation) =>
        Enumerable.Range(0, conversation.MessageCount).Select(conversation.Message);

    internal static bool IsEmpty(object? value) => value switch
    {
        null => true,
        string text => PyString.IsBlank(text),
        PySequence list => list.Count == 0,
        PyDict dict => dict.Count == 0,
        _ => false,
    };

    private static bool AllContentIsIn(string page, ChatConversation conversation) => Messages(conversation)
        .All(message => message.TryGet(ContentKey, out object? content)
            && (IsEmpty(content) || (content is string text && page.Contains(PyString.Trim(text), StringComparison.Ordinal))));

    /// <summary>The conversation without the key; without content, messages have an empty one.</summary>
    private static ChatConversation WithoutMessageKey(ChatConversation conversation, string key) => conversation.WithMessages(message =>
    {
        PyDict rest = [];
        foreach ((object? name, object? value) in message)
        {
            if (!Equals(name, key)) rest[name] = value;
            else if (key == ContentKey) rest[name] = "";
        }
        return rest;
    });
}
