using System.Globalization;
using DiffusionGemma.Jinja;

namespace DiffusionGemma;

/// <summary>
/// Renders conversations in the form that the template understands, which is found out by rendering:
/// <list type="bullet">
/// <item>A list of text parts becomes one text, its parts put together, where the template does not look at parts.</item>
/// <item>Null content becomes an empty text, where the template would write Python's None or fails on it.</item>
/// <item>Calls and declarations of functions in an older or a shorter form take today's, where the template does not read theirs (<see
/// cref="ToolForms"/>).</item>
/// <item>Any other value of the row that the template would write as Python prints it (None, True, a list, a dict) is refused by its
/// path.</item>
/// </list>
/// </summary>
internal sealed class ConversationRenderer(ChatTemplate template, bool addGenerationPrompt)
{
    private const string ContentKey = "content";
    private const int MostNulls = 256;          // of one row that are tried: each takes a rendering
    private const char Noncharacter = '\uFDD0';

    /// <exception cref="ChatException">The template refuses the conversation or fails, or would write a value as Python prints
    /// it.</exception>
    public RenderedChat Render(ChatConversation conversation)
    {
        if (ToolForms.HasOlder(conversation) && !ReadsOlderForm(conversation))
            conversation = ToolForms.FromOlder(conversation);
        conversation = JoinParts(conversation);
        (RenderedChat chat, IReadOnlyList<object?> printed) = RenderRepaired(ref conversation);
        while (printed.Count > 0 && FindPrinted(conversation, printed) is { } culprit)
        {
            if (culprit.Value is not null || !IsContent(culprit.Path, conversation))
                throw Refused(culprit.Path, culprit.Value);
            conversation = conversation.WithValues((path, value) => path == culprit.Path ? "" : value);
            (chat, printed) = template.RenderAndWatch(conversation.TemplateVariables, addGenerationPrompt);
        }
        return chat;
    }

    private bool ReadsOlderForm(ChatConversation conversation)
    {
        string? page = TryRender(Filled(conversation))?.Chat.Text;
        return page is not null && page != TryRender(Filled(ToolForms.WithoutOlder(conversation)))?.Chat.Text;
    }

    /// <summary>Renders the row as it is or, where the template fails on it, with what it lacks.</summary>
    private (RenderedChat Chat, IReadOnlyList<object?> Printed) RenderRepaired(ref ChatConversation conversation)
    {
        try
        {
            return template.RenderAndWatch(conversation.TemplateVariables, addGenerationPrompt);
        }
        catch (ChatException exception) when (exception.TemplateWords is null)
        {
            foreach (ChatConversation repaired in Repairs(conversation))
            {
                if (TryRender(repaired) is not { } result) continue;
                conversation = repaired;
                return result;
            }
            throw;
        }
    }

    private static IEnumerable<ChatConversation> Repairs(ChatConversation given)
    {
        bool hasNull = HasNullContent(given);
        // A template that adds something to the content fails on null.
        if (hasNull) yield return Filled(given);
        ChatConversation complete = ToolForms.Complete(given);
        yield return complete;
        if (hasNull) yield return Filled(complete);
    }

    private static ChatConversation Filled(ChatConversation given) => given.WithMessages(message =>
    {
        if (message.TryGet(ContentKey, out object? content) && content is not null) return message;
        PyDict filled = message.Copy();
        filled[ContentKey] = "";
        return filled;
    });

    private (RenderedChat Chat, IReadOnlyList<object?> Printed)? TryRender(ChatConversation conversation)
    {
        try
        {
            return template.RenderAndWatch(conversation.TemplateVariables, addGenerationPrompt);
        }
        catch (ChatException)
        {
            return null;
        }
    }

    private static bool HasNullContent(ChatConversation conversation) =>
        Enumerable.Range(0, conversation.MessageCount)
            .Any(i => !conversation.Message(i).TryGet(ContentKey, out object? content) || content is null);

    private static bool IsContent(string path, ChatConversation conversation) =>
        Enumerable.Range(0, conversation.MessageCount).Any(i => path == PathOfContent(i));

    private static string PathOfContent(int message) => $"messages[{message}].{ContentKey}";

    private ChatConversation JoinParts(ChatConversation conversation)
    {
        int[] lists = [.. Enumerable.Range(0, conversation.MessageCount)
            .Where(i => conversation.Message(i).TryGet(ContentKey, out object? content) && content is PySequence)];
        if (lists.Length == 0)
            return conversation;
        HashSet<int> unread = FindUnread(conversation, lists, joined: []);
        // A template that fails on one list may read the others.
        if (unread.Count == lists.Length && lists.Length > 1)
            unread = [.. lists.Where(i => FindUnread(conversation, [i], joined: [.. lists.Where(other => other != i)]).Count > 0)];
        return Joined(conversation, unread);
    }

    /// <summary>
    /// Renders the row with other texts in its parts: the template reads those lists whose texts all come out, without the name of a key
    /// that no template knows, which tells those that print the whole list.
    /// </summary>
    private HashSet<int> FindUnread(ChatConversation conversation, int[] lists, HashSet<int> joined)
    {
        Dictionary<int, string[]> texts = lists.ToDictionary(i => i, i => Enumerable.Range(0, PartsOf(conversation, i).Count)
            .Select(part => string.Create(CultureInfo.InvariantCulture, $"{Noncharacter}{i}.{part}{Noncharacter}")).ToArray());
        ChatConversation marked = Joined(conversation, joined).WithValues((path, value) =>
            lists.FirstOrDefault(i => path == PathOfContent(i), -1) is var list and >= 0 ? Marked((PySequence)value!, texts[list]) : value);
        string? page = TryRender(marked)?.Chat.Text;
        return [.. lists.Where(i => page is null || texts[i].Length == 0
            || !texts[i].All(text => page.Contains(text, StringComparison.Ordinal))
            || page.Contains(UnknownKey(texts[i]), StringComparison.Ordinal))];
    }

    private static PySequence PartsOf(ChatConversation conversation, int message) =>
        conversation.Message(message).TryGet(ContentKey, out object? content) ? (PySequence)content! : new PyList([]);

    private static PyList Marked(PySequence parts, string[] texts) => new([.. parts.Select((part, i) =>
    {
        PyDict copy = ((PyDict)part!).Copy();
        copy["text"] = texts[i];
        copy[UnknownKey(texts)] = "";
        return (object?)copy;
    })]);

    private static string UnknownKey(string[] texts) => $"{texts[0]}key";

    private static ChatConversation Joined(ChatConversation conversation, HashSet<int> messages) => messages.Count == 0
        ? conversation
        : conversation.WithValues((path, value) => messages.Any(i => path == PathOfContent(i)) ? JoinedText((PySequence)value!) : value);

    private static string JoinedText(PySequence parts) =>
        string.Concat(parts.OfType<PyDict>().Select(part => part.TryGet("text", out object? text) ? text as string : null));

    /// <summary>The first value of the row that was printed in Python's form; null where only values of the template's own were.</summary>
    private (string Path, object? Value)? FindPrinted(ChatConversation conversation, IReadOnlyList<object?> printed)
    {
        HashSet<object> references = new(printed.OfType<object>(), ReferenceEqualityComparer.Instance);
        bool hasNone = printed.Contains(null);
        int nulls = 0;
        foreach ((string path, object? value) in conversation.Values)
        {
            // A template argument that is true or false may well be written as such.
            bool isData = path.StartsWith("messages[", StringComparison.Ordinal) || path.StartsWith("tools[", StringComparison.Ordinal);
            bool isFound = value switch
            {
                null when path is "tools" or "documents" => false,          // as if the row had none
                null => hasNone && nulls++ < MostNulls && ReachesPage(conversation, path),
                bool => isData && references.Contains(value),
                "" => false,
                _ => references.Contains(value),
            };
            if (isFound)
                return (path, value);
        }
        return null;
    }

    private bool ReachesPage(ChatConversation conversation, string path)
    {
        string mark = $"{Noncharacter}null{Noncharacter}";
        ChatConversation marked = conversation.WithValues((at, value) => at == path ? mark : value);
        return TryRender(marked)?.Chat.Text.Contains(mark, StringComparison.Ordinal) == true;
    }

    private static ChatException Refused(string path, object? value)
    {
        string kind = value switch
        {
            null => "null, and the chat template would write Python's None for it",
            bool => "true or false, and the chat template would write it as Python does (True, False)",
            string => "a text, and the chat template would write it inside a list or dict as Python prints these",
            _ => $"{(value is PyDict ? "an object" : "a list")}, and the chat template would write it as Python prints it",
        };
        return new ChatException($"{path} is {kind}: give it as a text, take it out, or use a template that writes it.")
        {
            Key = path,
            MessageIndex = IndexOf(path),
        };
    }

    private static int? IndexOf(string path)
    {
        const string Start = "messages[";
        int end = path.IndexOf(']', StringComparison.Ordinal);
        return path.StartsWith(Start, StringComparison.Ordinal) && end > 0
            ? int.Parse(path.AsSpan(Start.Length..end), CultureInfo.InvariantCulture) : null;
    }
}
