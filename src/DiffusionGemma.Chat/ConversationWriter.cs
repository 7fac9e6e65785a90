using System.Text.Json;
using System.Text.Json.Nodes;
using Microsoft.Extensions.AI;

namespace DiffusionGemma;

/// <summary>The framework's messages and tools as the conversation that a chat template sees, in OpenAI's shape.</summary>
internal static class ConversationWriter
{
    /// <exception cref="NotSupportedException">Something in it has no text form; the message names it.</exception>
    public static string Write(IEnumerable<ChatMessage> messages, ChatOptions? options)
    {
        var written = new JsonArray();
        var calls = new Dictionary<string, string>(StringComparer.Ordinal);
        if (SystemTurn(options) is { Length: > 0 } system) written.Add(new JsonObject { ["role"] = "system", ["content"] = system });
        foreach (ChatMessage message in messages)
            foreach (JsonObject turn in Turns(message, calls)) written.Add(turn);
        if (written.Count == 0) throw new ArgumentException("There are no messages: give at least the user's.", nameof(messages));
        var row = new JsonObject { ["messages"] = written };
        if (Tools(options) is { Count: > 0 } tools) row["tools"] = tools;
        if (options?.AdditionalProperties?.TryGetValue("chat_template_kwargs", out object? arguments) == true && arguments is not null)
            row["chat_template_kwargs"] = JsonSerializer.SerializeToNode(arguments, AIJsonUtilities.DefaultOptions);
        return row.ToJsonString(AIJsonUtilities.DefaultOptions);
    }

    /// <summary>The instructions, and what a wanted format asks of the model in words: nothing enforces it.</summary>
    private static string? SystemTurn(ChatOptions? options) => options?.ResponseFormat switch
    {
        ChatResponseFormatJson { Schema: { } schema } => $"{options.Instructions}\n\nAnswer with JSON alone, of this schema: {schema.GetRawText()}".Trim(),
        ChatResponseFormatJson => $"{options.Instructions}\n\nAnswer with JSON alone.".Trim(),
        _ => options?.Instructions,
    };

    private static JsonArray? Tools(ChatOptions? options)
    {
        switch (options?.ToolMode)
        {
            case NoneChatToolMode:
                return null;
            case RequiredChatToolMode:
                throw new NotSupportedException("ChatOptions.ToolMode: a call cannot be required of this model; use Auto or None.");
        }
        return options?.Tools is not { } tools ? null : new JsonArray([.. tools.Select(tool => tool is AIFunctionDeclaration function
            ? (JsonNode)new JsonObject
            {
                ["type"] = "function",
                ["function"] = new JsonObject { ["name"] = function.Name, ["description"] = function.Description, ["parameters"] = JsonNode.Parse(function.JsonSchema.GetRawText()) },
            }
            : throw new NotSupportedException($"ChatOptions.Tools: '{tool.Name}' is a {tool.GetType().Name}; this model knows functions only."))]);
    }

    private static IEnumerable<JsonObject> Turns(ChatMessage message, Dictionary<string, string> calls)
    {
        string text = "", reasoning = "";
        var made = new JsonArray();
        var results = new List<JsonObject>();
        foreach (AIContent content in message.Contents)
        {
            switch (content)
            {
                case TextContent given:
                    text += given.Text;
                    break;
                case TextReasoningContent thought:
                    reasoning += thought.Text;
                    break;
                case FunctionCallContent call:
                    calls[call.CallId] = call.Name;
                    made.Add(new JsonObject
                    {
                        ["id"] = call.CallId,
                        ["type"] = "function",
                        ["function"] = new JsonObject
                        {
                            ["name"] = call.Name, ["arguments"] = JsonSerializer.SerializeToNode(call.Arguments ?? new Dictionary<string, object?>(), AIJsonUtilities.DefaultOptions),
                        },
                    });
                    break;
                case FunctionResultContent result:
                    var turn = new JsonObject { ["role"] = "tool", ["tool_call_id"] = result.CallId, ["content"] = Result(result) };
                    if (calls.TryGetValue(result.CallId, out string? name)) turn["name"] = name;
                    results.Add(turn);
                    break;
                case DataContent or UriContent or HostedFileContent:
                    throw new NotSupportedException($"A message of the {message.Role} holds a {content.GetType().Name}: this library is text only.");
            }
        }
        if (results.Count > 0)
        {
            foreach (JsonObject result in results) yield return result;
            if (text.Length == 0 && made.Count == 0) yield break;
        }
        var own = new JsonObject { ["role"] = message.Role.Value, ["content"] = text };
        if (reasoning.Length > 0) own["reasoning_content"] = reasoning;
        if (made.Count > 0) own["tool_calls"] = made;
        yield return own;
    }

    private static string Result(FunctionResultContent result) => result.Result switch
    {
        string text => text,
        null when result.Exception is { } error => $"Error: {error.Message}",
        null => "",
        JsonElement { ValueKind: JsonValueKind.String } json => json.GetString()!,
        var other => JsonSerializer.Serialize(other, AIJsonUtilities.DefaultOptions),
    };
}
