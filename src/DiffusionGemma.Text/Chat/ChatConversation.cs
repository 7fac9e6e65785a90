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

    private static readonly string[] CallKeys = ["tool_calls", "function_call"];

    /// <summary>Template arguments whose texts come from others: tools of other programs' servers, and documents that were found.</summary>
    private static readonly string[] UntrustedArguments = [ToolsKey, "functions", "documents"];

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

    /// <summary>
    /// Roles of messages before the last that are none of user, assistant, model, system, developer, tool, function and ipython, such as
    /// <c>human</c>, each once. Many chat templates write any role as it is.
    /// </summary>
    public IReadOnlyList<string> UnknownRoles =>
        [.. _messages.SkipLast(1).Select(RoleOf).Where(role => role is not ("assistant" or "model") && !RolesBeforeAnAnswer.Contains(role))
            .Distinct()];

    /// <summary>True if the last message is the assistant's and says nothing: blank or null content, and no tool calls.</summary>
    /// <remarks>A template may write less than the message says: see <see cref="ChatTokenizer.HasBlankAnswer"/>.</remarks>
    public bool HasBlankAnswer => IsAnswered && string.IsNullOrWhiteSpace(Answer) && !AnswersWithCalls;

    /// <summary>True if the last message is the assistant's and calls tools.</summary>
    internal bool AnswersWithCalls => IsAnswered && CallKeys.Any(key =>
        Message(MessageCount - 1).TryGet(key, out object? calls) && calls is PySequence { Count: > 0 } or PyDict { Count: > 0 });

    /// <summary>The same, but the last message calls no tools.</summary>
    internal ChatConversation WithoutLastCalls()
    {
        PyDict last = [];
        foreach ((object? key, object? value) in Message(MessageCount - 1))
            if (!CallKeys.Contains(key)) last[key] = value;
        return new ChatConversation(new PyList([.. _messages.SkipLast(1), last]), _arguments);
    }

    /// <summary>True if the row has tools; an empty list counts, as in transformers.</summary>
    internal bool HasTools => _arguments.LastOrDefault(argument => argument.Key == ToolsKey).Value is not null
        || _arguments.Any(argument => argument is { Key: "functions", Value: not null });

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

    /// <summary>All texts of the row, names included.</summary>
    internal IEnumerable<string> Texts => PyTexts.In(_messages).Concat(_arguments.SelectMany(argument => PyTexts.In(argument.Value)));

    /// <summary>The message at an index.</summary>
    internal PyDict Message(int index) => (PyDict)_messages[index]!;

    /// <summary>Keys of the row beside its messages that have a value.</summary>
    internal IEnumerable<string> ArgumentKeys =>
        _arguments.Where(argument => !IgnoredKeys.IsEmpty(argument.Value)).Select(argument => argument.Key).Distinct();

    /// <summary>The same without these keys in messages and beside them.</summary>
    internal ChatConversation WithoutKeys(IReadOnlySet<string> keys) =>
        new ChatConversation(_messages, [.. _arguments.Where(argument => !keys.Contains(argument.Key))]).WithMessages(message =>
        {
            PyDict rest = [];
            foreach ((object? name, object? value) in message)
                if (name is not string key || !keys.Contains(key)) rest[name] = value;
            return rest;
        });

    /// <summary>The same with other keys and values beside the messages.</summary>
    internal ChatConversation WithArguments(Func<string, object?, (string Key, object? Value)> change) =>
        new(_messages, [.. _arguments.Select(argument => change(argument.Key, argument.Value))
            .Select(argument => new KeyValuePair<string, object?>(argument.Key, argument.Value))]);

    /// <summary>The same with other messages.</summary>
    internal ChatConversation WithMessages(Func<PyDict, PyDict> change) =>
        new(new PyList([.. _messages.Select(message => change((PyDict)message!))]), _arguments);

    /// <summary>The same with every value replaced by what the function makes of it and its path, outermost first.</summary>
    internal ChatConversation WithValues(Func<string, object?, object?> change) => new(
        (PySequence)RowValues.Change(MessagesKey, _messages, change)!,
        [.. _arguments.Select(argument =>
            new KeyValuePair<string, object?>(argument.Key, RowValues.Change(argument.Key, argument.Value, change)))]);

    /// <summary>
    /// The same with every untrusted text changed: messages of users and tools, the assistant's tool calls, definitions of tools, and
    /// documents.
    /// </summary>
    internal ChatConversation WithUserTexts(Func<string, string> change) => WithArguments(
        (key, value) => (key, UntrustedArguments.Contains(key) ? PyTexts.Change(value, change) : value)).WithMessages(message =>
    {
        message.TryGet("role", out object? role);
        if (role is "system" or "developer") return message;
        if (role is not ("assistant" or "model")) return (PyDict)PyTexts.Change(message, change)!;
        if (!message.TryGet("tool_calls", out object? calls)) return message;
        PyDict copy = message.Copy();
        copy["tool_calls"] = PyTexts.Change(calls, change);
        return copy;
    });

    private static string RoleOf(object? message) =>
        ((PyDict)message!).TryGet("role", out object? role) ? (string)role! : "";

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
        object?[] read = [.. list.Select(ToolArguments.ReadCalls)];
        for (int i = 0; i < read.Length; i++)
            ChatMessageRules.Check(read[i], i);
        return new ChatConversation(new PyList([.. read.Select((message, i) => ToolArguments.Parse((PyDict)message!, i))]), arguments);
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
                case ToolsKey when value is PyList tools:
                    arguments.Add(new(ToolsKey, new PyList([.. tools.Select(ReadTool)])));
                    break;
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

    /// <summary>A tool; tables often hold each as JSON text.</summary>
    private static object ReadTool(object? tool, int place)
    {
        string path = $"tools[{place}]";
        object? read = tool is string text ? ParseText(text, path) : tool;
        if (read is not PyDict dict)
            throw new ChatException(
                $"{path} is {PyType.NameOf(read)}, where an object with the function's name, description and parameters is expected.")
            {
                Key = path,
            };
        if (!dict.TryGet("function", out object? inner) || inner is not PyDict function) return WithParameters(dict, path);
        PyDict parsed = WithParameters(function, $"{path}.function");
        if (parsed == function) return dict;
        PyDict result = dict.Copy();
        result["function"] = parsed;
        return result;
    }

    private static PyDict WithParameters(PyDict function, string path)
    {
        const string ParametersKey = "parameters";
        if (!function.TryGet(ParametersKey, out object? parameters) || parameters is not string text) return function;
        PyDict result = function.Copy();
        result[ParametersKey] = PyString.IsBlank(text) ? null : ParseText(text, $"{path}.{ParametersKey}");
        return result;
    }

    private static object? ParseText(string text, string path)
    {
        try
        {
            using JsonDocument document = JsonDocument.Parse(text, JsonValues.Reading);
            return JsonValues.Read(document.RootElement);
        }
        catch (Exception exception) when (exception is JsonException or ArgumentException)
        {
            throw new ChatException($"{path} is a text that is no JSON object: {exception.Message}", exception) { Key = path };
        }
    }
}
