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
            return function;
        return arguments switch
        {
            null => With(function, ArgumentsKey, new PyDict()),
            string text when PyString.IsBlank(text) => With(function, ArgumentsKey, new PyDict()),
            string text => With(function, ArgumentsKey, ParseText(text, place, path)),
            _ => function,
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
