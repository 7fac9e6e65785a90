using DiffusionGemma.Jinja;

namespace DiffusionGemma;

/// <summary>Finds what of a conversation never reaches the rendered text, by rendering with and without it.</summary>
internal static class IgnoredKeys
{
    private const string RoleKey = "role";
    private const string ContentKey = "content";

    private static readonly (string Open, string Close)[] Thoughts =
        [(ControlTokens.ChannelOpen, ControlTokens.ChannelClose), ("<think>", "</think>")];

    public static IReadOnlyList<string> Find(ChatTemplate template, ChatConversation conversation)
    {
        bool prompt = !conversation.IsAnswered;
        string page = template.Render(conversation, prompt).Text;
        string[] keys = [.. MessageKeys(conversation).Concat(conversation.ArgumentKeys).Distinct()];
        HashSet<string> ignored = [];
        if (keys.Length > 1 && RendersTheSame(conversation.WithoutKeys(keys.ToHashSet())))
            ignored = [.. keys];
        // One after another, so that of two keys with one meaning only the unread one is named.
        else foreach (string key in keys)
        {
            if (RendersTheSame(conversation.WithoutKeys(new HashSet<string>([.. ignored, key])))) ignored.Add(key);
        }
        return
        [
            .. keys.Where(ignored.Contains), .. IgnoredContents().Select(role => $"{ContentKey} of {role}"),
            .. LosesThought(page, conversation) ? new[] { $"thought in {ContentKey}" } : [],
        ];

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

        // Roles whose messages have contents that are not in the text; a template may well change the text of what it writes.
        IEnumerable<string> IgnoredContents() => Messages(conversation).Where(IsUnseen).GroupBy(RoleOf)
            .Where(unseen => RendersTheSame(WithoutContent(conversation, [.. unseen]))).Select(unseen => unseen.Key);

        bool IsUnseen(PyDict message) => message.TryGet(ContentKey, out object? content) && !IsEmpty(content)
            && !(content is string text && page.Contains(PyString.Trim(text), StringComparison.Ordinal));
    }

    /// <summary>True if the last answer's content holds a thought that is not in the text: templates take old thoughts out.</summary>
    private static bool LosesThought(string page, ChatConversation conversation)
    {
        if (conversation.Answer is not { } answer) return false;
        foreach ((string open, string close) in Thoughts)
        {
            int start = answer.IndexOf(open, StringComparison.Ordinal);
            int end = start < 0 ? -1 : answer.IndexOf(close, start, StringComparison.Ordinal);
            string thought = end < 0 ? "" : PyString.Trim(answer[(start + open.Length)..end]);
            if (thought.Length > 0 && !page.Contains(thought, StringComparison.Ordinal)) return true;
        }
        return false;
    }

    internal static bool IsEmpty(object? value) => value switch
    {
        null => true,
        string text => PyString.IsBlank(text),
        PySequence list => list.Count == 0,
        PyDict dict => dict.Count == 0,
        _ => false,
    };

    private static IEnumerable<string> MessageKeys(ChatConversation conversation) => Messages(conversation).SelectMany(message => message)
        .Where(item => item.Key is not (RoleKey or ContentKey) && !IsEmpty(item.Value)).Select(item => item.Key).OfType<string>();

    private static IEnumerable<PyDict> Messages(ChatConversation conversation) =>
        Enumerable.Range(0, conversation.MessageCount).Select(conversation.Message);

    private static string RoleOf(PyDict message) => message.TryGet(RoleKey, out object? role) ? (string)role! : "";

    private static ChatConversation WithoutContent(ChatConversation conversation, HashSet<PyDict> messages) =>
        conversation.WithMessages(message =>
        {
            if (!messages.Contains(message)) return message;
            PyDict rest = message.Copy();
            rest[ContentKey] = "";
            return rest;
        });
}
