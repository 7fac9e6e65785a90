using System.Text.Json;
using DiffusionGemma.Jinja;

namespace DiffusionGemma;

/// <summary>
/// A conversation in OpenAI's shape, checked: messages, and what else the chat template is to see (tools, template arguments).
/// Nothing in it is lost: unknown keys, and whether a number is an int or a float, survive.
/// </summary>
public sealed record ChatConversation
{
    private const string MessagesKey = "messages";
    private const string ToolsKey = "tools";
    private const string ArgumentsKey = "chat_template_kwargs";

    private static readonly string[] RolesBeforeAnAnswer = ["user", "system", "developer", "tool", "function", "ipython"];

    private readonly PySequence _messages;
    private readonly IReadOnlyList<KeyValuePair<string, object?>> _arguments;

    private ChatConversation(PySequence messages, IReadOnlyList<KeyValuePair<string, object?>> arguments) =>
        (_messages, _arguments) = (messages, arguments);

    /// <summary>
    /// Keys under which a row or a message holds what is seen or heard: <c>images</c>, <c>audio</c> and the like. A value there is refused,
    /// but for an empty one.
    /// </summary>
    public static IReadOnlyList<string> MediaKeys => ChatMessageRules.MediaKeys;

    /// <summary>Number of messages.</summary>
    public int MessageCount => _messages.Count;

    /// <summary>True if the last message is the assistant's, so that there is an answer to learn from.</summary>
    public bool IsAnswered =>
        _messages.Count > 0 && _messages[^1] is PyDict last && last.TryGet("role", out object? role) && role is "assistant" or "model";

    /// <summary>
    /// The role of the last message where it is neither the assistant's nor one that an answer follows (user, system, developer, tool,
    /// function, ipython): often another name of the assistant, whose answer then counts as a prompt. Null for these roles.
    /// </summary>
    public string? UnknownLastRole => !IsAnswered && _messages is [.., PyDict last] && last.TryGet("role", out object? role)
        && role is string name && !RolesBeforeAnAnswer.Contains(name) ? name : null;

    /// <summary>True if the last message is the assistant's and says nothing: blank or null content, and no tool calls.</summary>
    public bool HasBlankAnswer => IsAnswered && string.IsNullOrWhiteSpace(Answer)
        && !(((PyDict)_messages[^1]!).TryGet("tool_calls", out object? calls) && calls is PySequence { Count: > 0 });

    /// <summary>Keys of messages, other than role and content, and of the row that hold a value.</summary>
    internal IEnumerable<string> ExtraKeys => _messages.OfType<PyDict>()
        .SelectMany(message => message.Where(item => item.Key is not ("role" or "content") && HoldsValue(item.Value)))
        .Select(item => (string)item.Key!)
        .Concat(_arguments.Where(argument => HoldsValue(argument.Value)).Select(argument => argument.Key))
        .Distinct();

    /// <summary>The same without these keys in messages and row.</summary>
    internal ChatConversation WithoutKeys(IReadOnlySet<string> keys)
    {
        return new ChatConversation(
            new PyList([.. _messages.Select(Without)]), [.. _arguments.Where(argument => !keys.Contains(argument.Key))]);

        object? Without(object? message)
        {
            PyDict kept = [];
            foreach ((object? key, object? value) in (PyDict)message!)
                if (key is not string name || !keys.Contains(name))
                    kept.Add(key, value);
            return kept;
        }
    }

    private static bool HoldsValue(object? value) => value is not (null or "" or PySequence { Count: 0 } or PyDict { Count: 0 });

    /// <summary>True if the row has tools; an empty list counts, as in transformers.</summary>
    internal bool HasTools => _arguments.LastOrDefault(argument => argument.Key == ToolsKey).Value is not null;

    /// <summary>
    /// The text of the last message where it is the assistant's: its content, or its text parts put together; null where there is none.
    /// </summary>
    public string? Answer => IsAnswered && ((PyDict)_messages[^1]!).TryGet("content", out object? content)
        ? content switch
        {
            string text => text,
            PySequence parts => string.Concat(
                parts.OfType<PyDict>().Select(part => part.TryGet("text", out object? text) ? text as string : null)),
            _ => null,
        }
        : null;

    /// <summary>Variables that the template sees, but for the special tokens and add_generation_prompt.</summary>
    internal IEnumerable<KeyValuePair<string, object?>> TemplateVariables =>
        [new(ToolsKey, null), new("documents", null), .. _arguments, new(MessagesKey, _messages)];

    /// <summary>
    /// Reads a conversation: the messages array alone, or a row's whole object with <c>messages</c>, in which <c>tools</c> and every other
    /// key become template arguments (those inside <c>chat_template_kwargs</c> too). Null tools are no tools.
    /// </summary>
    /// <exception cref="ChatException">It is not JSON or not a conversation; the message says which message is at fault and what is
    /// expected.</exception>
    public static ChatConversation Parse(string json)
    {
        ArgumentNullException.ThrowIfNull(json);
        try
        {
            using JsonDocument document = JsonDocument.Parse(json, JsonValues.Reading);
            return Read(document.RootElement);
        }
        // ArgumentException is what the JSON reader throws for half a surrogate pair in the text itself.
        catch (Exception exception) when (exception is JsonException or ArgumentException)
        {
            throw new ChatException($"The row is not valid JSON: {exception.Message}", exception);
        }
    }

    /// <summary>A conversation of plain text turns.</summary>
    /// <exception cref="ChatException">There are no messages.</exception>
    public static ChatConversation Of(params IReadOnlyList<(string Role, string Content)> messages)
    {
        ArgumentNullException.ThrowIfNull(messages);
        List<object?> list = [];
        foreach ((string role, string content) in messages)
            list.Add(new PyDict { { "role", role }, { "content", content } });
        return Checked(new PyList(list), []);
    }

    /// <summary>The same with an answer behind it.</summary>
    internal ChatConversation WithAnswer(string content) =>
        new(new PyList([.. _messages, new PyDict { { "role", "assistant" }, { "content", content } }]), _arguments);

    /// <summary>The same without its last message: what the assistant answered to.</summary>
    internal ChatConversation WithoutLast() => new(new PyList([.. _messages.Take(_messages.Count - 1)]), _arguments);

    /// <summary>The same with every text in it changed, names included.</summary>
    internal ChatConversation WithTexts(Func<string, string> change) => new(
        (PySequence)PyTexts.Change(_messages, change)!,
        [.. _arguments.Select(argument => new KeyValuePair<string, object?>(argument.Key, PyTexts.Change(argument.Value, change)))]);

    /// <summary>All values of the row by their path, outermost first.</summary>
    internal IEnumerable<(string Path, object? Value)> Values =>
        RowValues.Walk(MessagesKey, _messages).Concat(_arguments.SelectMany(argument => RowValues.Walk(argument.Key, argument.Value)));

    /// <summary>The message at an index.</summary>
    internal PyDict Message(int index) => (PyDict)_messages[index]!;

    /// <summary>Keys of the row beside its messages that have a value.</summary>
    internal IEnumerable<string> ArgumentKeys =>
        _arguments.Where(argument => !IgnoredKeys.IsEmpty(argument.Value)).Select(argument => argument.Key).Distinct();

    /// <summary>The same without a key beside the messages.</summary>
    internal ChatConversation WithoutArgument(string key) => new(_messages, [.. _arguments.Where(argument => argument.Key != key)]);

    /// <summary>The same with other messages.</summary>
    internal ChatConversation WithMessages(Func<PyDict, PyDict> change) =>
        new(new PyList([.. _messages.Select(message => change((PyDict)message!))]), _arguments);

    /// <summary>The same with every value replaced by what the function makes of it and its path, outermost first.</summary>
    internal ChatConversation WithValues(Func<string, object?, object?> change) => new(
        (PySequence)RowValues.Change(MessagesKey, _messages, change)!,
        [.. _arguments.Select(argument =>
            new KeyValuePair<string, object?>(argument.Key, RowValues.Change(argument.Key, argument.Value, change)))]);

    /// <summary>The same with every untrusted text changed: messages of users and tools, and the assistant's tool calls.</summary>
    internal ChatConversation WithUserTexts(Func<string, string> change) => WithMessages(message =>
    {
        message.TryGet("role", out object? role);
        if (role is "system" or "developer") return message;
        if (role is not ("assistant" or "model")) return (PyDict)PyTexts.Change(message, change)!;
        if (!message.TryGet("tool_calls", out object? calls)) return message;
        PyDict copy = message.Copy();
        copy["tool_calls"] = PyTexts.Change(calls, change);
        return copy;
    });

    private static ChatConversation Read(JsonElement row)
    {
        switch (row.ValueKind)
        {
            case JsonValueKind.Array:
                return Checked((PySequence)JsonValues.Read(row)!, []);
            case JsonValueKind.Object:
                PyDict values = JsonValues.ReadObject(row);
                if (ChatMessageRules.FindMedia(values) is { } media)
                    throw new ChatException($"The row has '{media}': this library is text only; take out what is not text, or the row.");
                if (!values.TryGet(MessagesKey, out object? messages))
                    throw new ChatException("The row has no 'messages': give the messages array, or an object with the key 'messages'.");
                return Checked(messages, ReadArguments(values));
            default:
                throw new ChatException(
                    $"The row is {JsonValues.Describe(row.ValueKind)}, where a messages array, or an object with 'messages', is expected.");
        }
    }

    private static ChatConversation Checked(object? messages, IReadOnlyList<KeyValuePair<string, object?>> arguments)
    {
        if (messages is not PyList list)
            throw new ChatException($"'messages' is {PyType.NameOf(messages)}, where a list of messages is expected.");
        if (list.Count == 0)
            throw new ChatException("'messages' is empty: a conversation has at least one message.");
        for (int i = 0; i < list.Count; i++)
            ChatMessageRules.Check(list[i], i);
        return new ChatConversation(new PyList([.. list.Select((message, i) => ToolArguments.Parse((PyDict)message!, i))]), arguments);
    }

    private static List<KeyValuePair<string, object?>> ReadArguments(PyDict row)
    {
        List<KeyValuePair<string, object?>> arguments = [];
        foreach ((object? key, object? value) in row)
        {
            switch ((string)key!)
            {
                case MessagesKey:
                    break;
                case ToolsKey when value is not (null or PyList):
                    throw new ChatException($"'tools' is {PyType.NameOf(value)}, where a list of tools or null is expected.");
                case ArgumentsKey when value is PyDict more:
                    arguments.AddRange(more.Select(item => new KeyValuePair<string, object?>((string)item.Key!, item.Value)));
                    break;
                case ArgumentsKey when value is not null:
                    throw new ChatException($"'{ArgumentsKey}' is {PyType.NameOf(value)}, where an object or null is expected.");
                default:
                    arguments.Add(new((string)key!, value));
                    break;
            }
        }
        return arguments;
    }
}
