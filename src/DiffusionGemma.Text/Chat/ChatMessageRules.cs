using DiffusionGemma.Jinja;

namespace DiffusionGemma;

/// <summary>Checks that hold for a message under every template.</summary>
internal static class ChatMessageRules
{
    /// <summary>Keys of rows and messages for images, audio and video, which no text template shows.</summary>
    public static readonly string[] MediaKeys = ["image", "images", "audio", "audios", "video", "videos"];

    private const string LegacyCall = "function_call";

    /// <summary>The key under which the row or message holds something that is not text, or null.</summary>
    public static string? FindMedia(PyDict dict) =>
        MediaKeys.FirstOrDefault(key => dict.TryGet(key, out object? value) && !IsNone(value));

    /// <summary>True for nothing, and for lists of nothing, which tables hold for rows without.</summary>
    private static bool IsNone(object? value) => value is null or "" || value is PyList list && list.All(IsNone);

    /// <exception cref="ChatException">It names the message's place, from 0, and what is wrong with it.</exception>
    public static void Check(object? message, int place)
    {
        if (message is not PyDict dict)
            throw Bad(place, $"is {PyType.NameOf(message)}, where an object with role and content is expected");
        if (!dict.TryGet("role", out object? role))
            throw Bad(place, "has no 'role'");
        if (role is not string { Length: > 0 })
            throw Bad(place, $"has a 'role' of type {PyType.NameOf(role)}, where a text such as user or assistant is expected");
        if (FindMedia(dict) is { } media)
            throw Bad(place, $"has '{media}': this library is text only; take out what is not text, or the row");
        bool hasContent = dict.TryGet("content", out object? content);
        bool callsTools = dict.TryGet("tool_calls", out object? calls) && calls is not null;
        if (callsTools)
            CheckCalls(calls, place);
        if (dict.TryGet(LegacyCall, out object? call) && call is not null)
            CheckCall(call, LegacyCall, place);
        if (!hasContent && !callsTools && call is null)
            throw Bad(place, "has no 'content'");
        switch (content)
        {
            case null or string:
                break;
            case PyList parts:
                CheckParts(parts, place);
                break;
            case PyDict when role is "tool":
                break;      // a tool's result may be an object: templates write it as JSON
            default:
                throw Bad(place, $"has 'content' of type {PyType.NameOf(content)}, where a text, null or a list of parts is expected");
        }
    }

    private static void CheckCalls(object? calls, int place)
    {
        if (calls is not PyList list)
            throw Bad(place, $"has 'tool_calls' of type {PyType.NameOf(calls)}, where a list is expected");
        for (int i = 0; i < list.Count; i++)
            CheckCall(list[i], $"tool_calls[{i}]", place);
    }

    /// <summary>
    /// A call is <c>{"function": {"name": ..., "arguments": {...}}}</c>, or, as some tools write it, the inner object alone.
    /// </summary>
    private static void CheckCall(object? call, string path, int place)
    {
        if (call is not PyDict dict)
            throw Bad(place, $"has {path} of type {PyType.NameOf(call)}, where an object with a function's name and arguments is expected");
        object? function = dict.TryGet("function", out object? inner) && inner is not null ? inner : dict;
        if (function is not PyDict named)
            throw Bad(place, $"has {path}.function of type {PyType.NameOf(function)}, where an object with name and arguments is expected");
        if (!named.TryGet("name", out object? name) || name is not string { Length: > 0 })
            throw Bad(place, $"has {path} without the 'name' of a function: only calls of functions are supported");
    }

    private static void CheckParts(PyList parts, int place)
    {
        foreach (object? part in parts)
        {
            if (part is not PyDict dict || !dict.TryGet("type", out object? type) || type is not string name)
                throw Bad(place, "has a content part that is no object with a 'type'");
            if (name != "text")
                throw Bad(place, $"has a content part of type '{name}': only text parts are supported, this library is text only");
            if (!dict.TryGet("text", out object? text) || text is not string)
                throw Bad(place, "has a text part without a 'text'");
        }
    }

    private static ChatException Bad(int place, string problem) => new($"messages[{place}] {problem}.") { MessageIndex = place };
}
