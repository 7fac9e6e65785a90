using System.Text.Json;
using DiffusionGemma.Jinja;

namespace DiffusionGemma;

/// <summary>Reads the last message of a conversation as an answer of the model.</summary>
internal static class ExpectedAnswer
{
    private static readonly string[] ReasoningKeys = ["reasoning_content", "reasoning", "thinking"];

    public static ParsedAnswer Read(DiffusionGemmaTokenizer tokenizer, ChatConversation conversation)
    {
        PyDict message = conversation.Message(conversation.MessageCount - 1);
        ParsedAnswer answer = ParsedAnswer.Parse(tokenizer, conversation.Answer ?? "");
        string reasoning = ReasoningKeys.Select(key => message.TryGet(key, out object? value) ? value as string : null)
            .FirstOrDefault(text => !string.IsNullOrEmpty(text)) ?? "";
        IEnumerable<PyDict> given = message.TryGet("tool_calls", out object? list) && list is PySequence { Count: > 0 } all
            ? all.OfType<PyDict>() : message.TryGet("function_call", out object? older) && older is PyDict call ? [call] : [];
        IEnumerable<AnswerToolCall> calls = given.Select(ReadCall).OfType<AnswerToolCall>();
        return answer with
        {
            Reasoning = answer.Reasoning.Length > 0 ? answer.Reasoning : reasoning,
            ToolCalls = [.. answer.ToolCalls, .. calls],
        };
    }

    private static AnswerToolCall? ReadCall(PyDict call)
    {
        PyDict function = call.TryGet("function", out object? inner) && inner is PyDict dict ? dict : call;
        if (!function.TryGet("name", out object? name) || name is not string text) return null;
        function.TryGet("arguments", out object? arguments);
        string json = new PyJson(asciiOnly: false, indent: null, ",", ":", sortKeys: false, new Budget()).Write(arguments as PyDict ?? []);
        try
        {
            return new AnswerToolCall(text, JsonElement.Parse(json));
        }
        catch (JsonException exception)     // a number beyond a float's range
        {
            throw new ChatException($"The arguments of the call of '{text}' cannot be written as JSON: {exception.Message}", exception);
        }
    }
}
