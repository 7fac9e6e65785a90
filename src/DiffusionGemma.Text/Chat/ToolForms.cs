using DiffusionGemma.Jinja;

namespace DiffusionGemma;

/// <summary>
/// Brings declarations and calls of functions into the form of today's chat templates, where a template does not read the form that a row
/// has:
/// <code>
/// "function_call": {"name": ...}          "tool_calls": [{"type": "function", "function": {"name": ...}}]
/// "role": "function"                      "role": "tool"
/// "functions": [{"name": ...}]            "tools": [{"type": "function", "function": {"name": ...}}]
/// "tool_calls": [{"name": ...}]           "tool_calls": [{"type": "function", "function": {"name": ..., "arguments": {}}}]
/// "tools": [{"name": ...}]                "tools": [{"type": "function", "function": {"name": ...}}]
/// </code>
/// </summary>
internal static class ToolForms
{
    private const string CallKey = "function_call", CallsKey = "tool_calls", FunctionsKey = "functions", ToolsKey = "tools";
    private const string FunctionKey = "function", NameKey = "name", TypeKey = "type", RoleKey = "role", ArgumentsKey = "arguments";

    private static readonly HashSet<string> OlderKeys = [CallKey, FunctionsKey];

    /// <summary>True if the row has calls or declarations in the older form, <c>function_call</c> and <c>functions</c>.</summary>
    public static bool HasOlder(ChatConversation conversation) => conversation.ArgumentKeys.Contains(FunctionsKey)
        || Enumerable.Range(0, conversation.MessageCount)
            .Any(i => conversation.Message(i).TryGet(CallKey, out object? call) && call is PyDict);

    /// <summary>The same without them.</summary>
    public static ChatConversation WithoutOlder(ChatConversation conversation) => conversation.WithoutKeys(OlderKeys);

    /// <summary>The same with calls, results and declarations of the older form in today's.</summary>
    public static ChatConversation FromOlder(ChatConversation conversation) => conversation
        .WithArguments((key, value) => key == FunctionsKey && value is PySequence functions
            ? (ToolsKey, functions.With([.. functions.Select(Wrap)])) : (key, value))
        .WithMessages(message =>
        {
            PyDict result = [];
            foreach ((object? key, object? value) in message)
            {
                if (key is CallKey && value is PyDict call) result[CallsKey] = new PyList([Wrap(call)]);
                else result[key] = key is RoleKey && value is FunctionKey ? "tool" : value;
            }
            return result;
        });

    /// <summary>The same with each call and tool inside a <c>function</c>, and arguments in every call.</summary>
    public static ChatConversation Complete(ChatConversation conversation) => conversation
        .WithArguments((key, value) => key == ToolsKey && value is PySequence tools
            ? (key, tools.With([.. tools.Select(Wrap)])) : (key, value))
        .WithMessages(message =>
        {
            if (!message.TryGet(CallsKey, out object? calls) || calls is not PySequence list) return message;
            PyDict result = message.Copy();
            result[CallsKey] = list.With([.. list.Select(WithArguments)]);
            return result;
        });

    private static object? WithArguments(object? call)
    {
        if (Wrap(call) is not PyDict wrapped || !wrapped.TryGet(FunctionKey, out object? inner) || inner is not PyDict function
            || function.TryGet(ArgumentsKey, out _))
            return Wrap(call);
        PyDict completed = function.Copy();
        completed[ArgumentsKey] = new PyDict();
        PyDict result = wrapped.Copy();
        result[FunctionKey] = completed;
        return result;
    }

    /// <summary>A function that stands alone, inside a <c>function</c>; the id and type of a call stay beside it.</summary>
    private static object? Wrap(object? item)
    {
        if (item is not PyDict dict || !dict.TryGet(NameKey, out _) || dict.TryGet(FunctionKey, out object? inner) && inner is not null)
            return item;
        PyDict outer = new() { { TypeKey, FunctionKey } }, function = [];
        foreach ((object? key, object? value) in dict)
        {
            if (key is "id" or TypeKey) outer[key] = value;
            else if (key is not FunctionKey) function[key is "input_schema" ? "parameters" : key] = value;
        }
        outer[FunctionKey] = function;
        return outer;
    }
}
