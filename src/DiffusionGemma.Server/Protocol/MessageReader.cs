using System.Text.Json;
using Microsoft.Extensions.AI;

namespace DiffusionGemma;

/// <summary>Reads the messages of a request.</summary>
internal static class MessageReader
{
    /// <exception cref="OpenAIError">A message cannot be used.</exception>
    public static List<ChatMessage> Read(JsonElement messages)
    {
        if (messages.GetArrayLength() == 0) throw OpenAIError.BadRequest("messages", "'messages' is empty.");
        return [.. messages.EnumerateArray().Select((message, i) => Message(message, $"messages[{i}]"))];
    }

    private static ChatMessage Message(JsonElement message, string path)
    {
        message.RequireObject(path);
        message.RequireKnown(
            path, "role", "content", "name", "tool_calls", "tool_call_id", "reasoning", "reasoning_content", "refusal", "annotations",
            "audio", "function_call");
        string role = (message.Find("role") ?? throw OpenAIError.BadRequest($"{path}.role", $"'{path}.role' is missing."))
            .RequireText($"{path}.role");
        foreach (string refused in (string[])["audio", "function_call"])
            if (message.Find(refused) is not null)
                throw OpenAIError.BadRequest($"{path}.{refused}", $"'{path}.{refused}' is not supported.");
        List<AIContent> contents = Contents(message.Find("content"), $"{path}.content");
        if (role != "assistant")
            foreach (string only in (string[])["tool_calls", "reasoning", "reasoning_content", "refusal"])
                if (message.Find(only) is not null)
                    throw OpenAIError.BadRequest($"{path}.{only}", $"'{path}.{only}' is the assistant's alone.");
        if (message.Find("tool_call_id") is not null && role != "tool")
            throw OpenAIError.BadRequest($"{path}.tool_call_id", $"'{path}.tool_call_id' is a tool's alone.");
        if (contents.Count == 0 && role != "assistant")
            throw OpenAIError.BadRequest($"{path}.content", $"'{path}.content' is missing.");
        var read = role switch
        {
            "system" or "developer" => new ChatMessage(ChatRole.System, contents),
            "user" => new ChatMessage(ChatRole.User, contents),
            "assistant" => new ChatMessage(ChatRole.Assistant, Assistant(message, contents, path)),
            "tool" => new ChatMessage(ChatRole.Tool, [Result(message, contents, path)]),
            _ => throw OpenAIError.BadRequest(
                $"{path}.role", $"'{path}.role' is '{role}': system, developer, user, assistant and tool are supported."),
        };
        read.AuthorName = message.Find("name")?.RequireText($"{path}.name");
        return read;
    }

    private static List<AIContent> Contents(JsonElement? value, string path)
    {
        if (value is not { } content) return [];
        if (content.ValueKind == JsonValueKind.String) return [new TextContent(content.GetString())];
        var contents = new List<AIContent>();
        foreach (JsonElement part in content.RequireArray(path).EnumerateArray())
        {
            string at = $"{path}[{contents.Count}]";
            string? type = part.RequireObject(at).Find("type")?.RequireText($"{at}.type");
            if (type is not ("text" or "refusal"))
                throw OpenAIError.BadRequest($"{at}.type", $"'{at}' is of the type '{type}': this model reads text alone.");
            JsonElement text = part.Find(type) ?? throw OpenAIError.BadRequest($"{at}.{type}", $"'{at}.{type}' is missing.");
            contents.Add(new TextContent(text.RequireText($"{at}.{type}")));
        }
        return contents;
    }

    private static List<AIContent> Assistant(JsonElement message, List<AIContent> contents, string path)
    {
        string? thought = message.Find("reasoning_content")?.RequireText($"{path}.reasoning_content")
            ?? message.Find("reasoning")?.RequireText($"{path}.reasoning");
        if (thought is { Length: > 0 }) contents.Insert(0, new TextReasoningContent(thought));
        if (message.Find("refusal") is { } refusal) contents.Add(new TextContent(refusal.RequireText($"{path}.refusal")));
        if (message.Find("tool_calls") is not { } calls) return contents;
        foreach (JsonElement call in calls.RequireArray($"{path}.tool_calls").EnumerateArray())
            contents.Add(Call(call, $"{path}.tool_calls[{contents.OfType<FunctionCallContent>().Count()}]"));
        return contents;
    }

    private static FunctionCallContent Call(JsonElement call, string path)
    {
        call.RequireObject(path);
        if (call.Find("type") is { } type && !type.IsText("function"))
            throw OpenAIError.BadRequest($"{path}.type", $"'{path}.type' is {type.GetRawText()}: only functions are supported.");
        string Text(JsonElement owner, string name, string at) =>
            (owner.Find(name) ?? throw OpenAIError.BadRequest(at, $"'{at}' is missing.")).RequireText(at);

        string id = Text(call, "id", $"{path}.id");
        JsonElement function = (call.Find("function") ?? throw OpenAIError.BadRequest($"{path}.function", $"'{path}.function' is missing."))
            .RequireObject($"{path}.function");
        string name = Text(function, "name", $"{path}.function.name");
        string arguments = Text(function, "arguments", $"{path}.function.arguments");
        try
        {
            var read = JsonSerializer.Deserialize<Dictionary<string, JsonElement>>(arguments.Length == 0 ? "{}" : arguments);
            if (read?.Values.All(JsonReading.IsUnicode) == false) throw new JsonException("half of a surrogate pair stands alone");
            return new FunctionCallContent(
                id, name, read?.ToDictionary(member => member.Key, member => member.Value is { ValueKind: not JsonValueKind.Null } value
                    ? (object?)value : null));
        }
        catch (Exception e) when (e is JsonException or InvalidOperationException)
        {
            throw OpenAIError.BadRequest($"{path}.function.arguments", $"'{path}.function.arguments' is not the text of a JSON object.");
        }
    }

    private static FunctionResultContent Result(JsonElement message, List<AIContent> contents, string path)
    {
        JsonElement id = message.Find("tool_call_id")
            ?? throw OpenAIError.BadRequest($"{path}.tool_call_id", $"'{path}.tool_call_id' is missing.");
        return new FunctionResultContent(
            id.RequireText($"{path}.tool_call_id"), string.Concat(contents.Cast<TextContent>().Select(content => content.Text)));
    }
}
