using System.Text.Json;
using DiffusionGemma.Jinja;

namespace DiffusionGemma;

/// <summary>
/// Turns the arguments of tool calls that are given as JSON text, as OpenAI's API has them, into the objects that chat templates write:
/// <code>
/// "arguments": "{\"city\":\"Oslo\"}"    ->    "arguments": {"city": "Oslo"}
/// </code>
/// Null and blank text are no arguments: an empty object.
/// </summary>
internal static class ToolArguments
{
    private const string ArgumentsKey = "arguments";
    private const string CallsKey = "tool_calls";
    private const string FunctionKey = "function";
    private const string LegacyKey = "function_call";

    /// <summary>Names that models and other tools give to the arguments.</summary>
    private static readonly string[] OtherNames = ["parameters", "args", "input"];

    /// <summary>
    /// Returns the message with a list for <c>tool_calls</c> that are its JSON text, as tables hold them; blank text is none. Anything else
    /// stays as it is.
    /// </summary>
    /// <param name="message">A message that is not checked yet.</param>
    /// <param name="place">The message's index, for errors.</param>
    /// <exception cref="ChatException">The text is not JSON.</exception>
    public static object? ReadCalls(object? message, int place)
    {
        if (message is not PyDict dict || !dict.TryGet(CallsKey, out object? calls) || calls is not string text) return message;
        if (PyString.IsBlank(text)) return With(dict, CallsKey, null);
        try
        {
            using JsonDocument document = JsonDocument.Parse(text, JsonValues.Reading);
            return With(dict, CallsKey, JsonValues.Read(document.RootElement));
        }
        catch (Exception exception) when (exception is JsonException or ArgumentException)
        {
            throw new ChatException(
                $"messages[{place}] has '{CallsKey}' that are a text, but no JSON list ({exception.Message}): write the calls as a list.",
                exception)
            {
                MessageIndex = place,
                Key = $"messages[{place}].{CallsKey}",
            };
        }
    }

    /// <summary>Returns the message with objects for arguments; the same message where nothing is to be changed.</summary>
    /// <param name="message">A checked message.</param>
    /// <param name="place">The message's index, for errors.</param>
    /// <exception cref="ChatException">Arguments are a text that is no JSON object; it names the message and the call.</exception>
    public static PyDict Parse(PyDict message, int place)
    {
        PyDict result = message;
        if (message.TryGet(CallsKey, out object? calls) && calls is PySequence list)
        {
            object?[] parsed = [.. list.Select((call, i) => call is PyDict dict ? ParseCall(dict, place, $"{CallsKey}[{i}]") : call)];
            if (!parsed.SequenceEqual(list, ReferenceEqualityComparer.Instance))
                result = With(result, CallsKey, new PyList(parsed));
        }
        if (message.TryGet(LegacyKey, out object? legacy) && legacy is PyDict function)
        {
            PyDict parsed = ParseFunction(function, place, LegacyKey);
            if (parsed != function)
                result = With(result, LegacyKey, parsed);
        }
        return result;
    }

    private static PyDict ParseCall(PyDict call, int place, string path)
    {
        if (!call.TryGet(FunctionKey, out object? function) || function is not PyDict dict)
            return ParseFunction(call, place, path);
        PyDict parsed = ParseFunction(dict, place, path);
        return parsed == dict ? call : With(call, FunctionKey, parsed);
    }

    private static PyDict ParseFunction(PyDict function, int place, string path)
    {
        if (!function.TryGet(ArgumentsKey, out object? arguments))
        {
            if (OtherNames.FirstOrDefault(name => function.TryGet(name, out object? value) && value is PyDict or string) is not { } other)
                return function;
            function.TryGet(other, out arguments);
            PyDict renamed = [];
            foreach ((object? key, object? value) in function) renamed[key as string == other ? ArgumentsKey : key] = value;
            function = renamed;
        }
        return arguments switch
        {
            null => With(function, ArgumentsKey, new PyDict()),
            string text when PyString.IsBlank(text) => With(function, ArgumentsKey, new PyDict()),
            string text => With(function, ArgumentsKey, ParseText(text, place, path)),
            PyDict => function,
            _ => throw new ChatException(
                $"messages[{place}].{path} has '{ArgumentsKey}' of type {PyType.NameOf(arguments)}: write the arguments as an object.")
            {
                MessageIndex = place,
                Key = $"messages[{place}].{path}.{ArgumentsKey}",
            },
        };
    }

    private static PyDict ParseText(string text, int place, string path)
    {
        string reason;
        Exception? cause = null;
        try
        {
            using JsonDocument document = JsonDocument.Parse(text, JsonValues.Reading);
            if (document.RootElement.ValueKind == JsonValueKind.Object)
                return JsonValues.ReadObject(document.RootElement);
            reason = $"it is {JsonValues.Describe(document.RootElement.ValueKind)}";
        }
        catch (Exception exception) when (exception is JsonException or ArgumentException)
        {
            (reason, cause) = (exception.Message, exception);
        }
        throw new ChatException(
            $"messages[{place}].{path} has '{ArgumentsKey}' that are a text, but no JSON object ({reason}): "
            + "write the arguments as an object.", cause)
        {
            MessageIndex = place,
            Key = $"messages[{place}].{path}.{ArgumentsKey}",
        };
    }

    private static PyDict With(PyDict dict, string key, object? value)
    {
        PyDict copy = dict.Copy();
        copy[key] = value;
        return copy;
    }
}
