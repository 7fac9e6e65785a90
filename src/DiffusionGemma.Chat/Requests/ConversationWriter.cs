using System.Text.Json;
using System.Text.Json.Nodes;
using Microsoft.Extensions.AI;

namespace DiffusionGemma;

/// <summary>
/// The framework's messages as the row that chat templates are written for (OpenAI's messages, tools and template arguments).
/// </summary>
internal static class ConversationWriter
{
    private const string Separator = "\n\n";

    private static readonly JsonSerializerOptions Compact = new(AIJsonUtilities.DefaultOptions) { WriteIndented = false };

    /// <param name="messages">The history; the assistant's turn is next.</param>
    /// <param name="systemText">What the request adds to the system turn.</param>
    /// <param name="tools">Tools to declare.</param>
    /// <param name="arguments">Other variables of the template.</param>
    /// <param name="writesResultsAsText">True writes a result that is an object as JSON text: some templates take nothing else.</param>
    /// <exception cref="ArgumentException">The messages are none, or leave nothing to answer.</exception>
    /// <exception cref="NotSupportedException">A message holds what is no text.</exception>
    public static ChatConversation Write(
        IReadOnlyList<ChatMessage> messages, IEnumerable<string> systemText, IReadOnlyList<AIFunctionDeclaration> tools,
        IEnumerable<KeyValuePair<string, object?>> arguments, bool writesResultsAsText = false)
    {
        if (messages.Count == 0) throw new ArgumentException("There are no messages: a conversation has at least one.", nameof(messages));
        JsonArray rows = [];
        int first = 0;
        List<string> system = [.. systemText];
        while (first < messages.Count && messages[first].Role == ChatRole.System)
        {
            RefuseMisplaced(messages[first], first);
            system.Add(TextOf(messages, first++));
        }
        if (system.Count > 0) rows.Add(Row("system", string.Join(Separator, system)));
        Dictionary<string, string> names = [];
        for (int i = first; i < messages.Count; i++) AddRows(rows, messages, i, names, writesResultsAsText);
        if (rows is [] || messages[^1].Role == ChatRole.Assistant)
            throw new ArgumentException(
                "The last message is the assistant's: there is nothing to answer. End with a user's message or a tool's result.",
                nameof(messages));

        JsonObject row = new() { ["messages"] = rows };
        if (tools.Count > 0) row["tools"] = new JsonArray([.. tools.Select(Declare)]);
        foreach ((string name, object? value) in arguments) row[name] = Json(value, $"The template argument '{name}'");
        return ChatConversation.Parse(row.ToJsonString());
    }

    private static void AddRows(
        JsonArray rows, IReadOnlyList<ChatMessage> messages, int place, Dictionary<string, string> names, bool writesResultsAsText)
    {
        ChatMessage message = messages[place];
        RefuseMisplaced(message, place);
        foreach (FunctionResultContent result in message.Contents.OfType<FunctionResultContent>())
        {
            JsonObject row = new()
            {
                ["role"] = "tool", ["tool_call_id"] = result.CallId,
                ["content"] = ResultOf(result, place, writesResultsAsText)
            };
            if (names.TryGetValue(result.CallId, out string? name)) row["name"] = name;
            rows.Add(row);
        }
        FunctionCallContent[] calls = [.. message.Contents.OfType<FunctionCallContent>()];
        string text = TextOf(messages, place);
        string thought = string.Concat(message.Contents.OfType<TextReasoningContent>().Select(content => content.Text));
        if (message.Role == ChatRole.Tool || (text.Length == 0 && message.Contents.Any(content => content is FunctionResultContent)))
        {
            if (text.Length > 0 || !message.Contents.Any(content => content is FunctionResultContent))
                throw new ArgumentException(
                    $"messages[{place}] is a tool's: it holds FunctionResultContent and nothing else.", nameof(messages));
            return;
        }
        JsonObject written = Row(message.Role == ChatRole.Assistant ? "assistant" : message.Role.Value, text);
        if (!string.IsNullOrEmpty(message.AuthorName)) written["name"] = message.AuthorName;
        // Templates differ on the key.
        if (thought.Length > 0) (written["reasoning"], written["reasoning_content"]) = (thought, thought);
        if (calls.Length > 0) written["tool_calls"] = new JsonArray([.. calls.Select(Call)]);
        rows.Add(written);

        JsonNode Call(FunctionCallContent call)
        {
            names[call.CallId] = call.Name;
            return new JsonObject
            {
                ["id"] = call.CallId,
                ["type"] = "function",
                ["function"] = new JsonObject
                {
                    ["name"] = call.Name,
                    ["arguments"] = Json(
                        call.Arguments ?? new Dictionary<string, object?>(), $"messages[{place}]: the arguments of '{call.Name}'"),
                },
            };
        }
    }

    /// <summary>Calls and reasoning are the assistant's: elsewhere no template would write them.</summary>
    private static void RefuseMisplaced(ChatMessage message, int place)
    {
        if (message.Role == ChatRole.Assistant) return;
        if (message.Contents.FirstOrDefault(content => content is FunctionCallContent or TextReasoningContent) is { } misplaced)
            throw new ArgumentException(
                $"messages[{place}] is a {message.Role.Value} message and holds {misplaced.GetType().Name}: only the assistant's may.");
        if (message.Role == ChatRole.System && message.Contents.Any(content => content is FunctionResultContent))
            throw new ArgumentException(
                $"messages[{place}] is a system message and holds FunctionResultContent: give it in a tool message.");
    }

    private static JsonObject Row(string role, string content) => new() { ["role"] = role, ["content"] = content };

    private static string TextOf(IReadOnlyList<ChatMessage> messages, int place)
    {
        foreach (AIContent content in messages[place].Contents)
            if (content is not (TextContent or TextReasoningContent or FunctionCallContent or FunctionResultContent
                or UsageContent or ErrorContent))
                throw new NotSupportedException(
                    $"messages[{place}] holds {Describe(content)}: this model takes text only. "
                    + "Leave it out, or put what it says into words.");
        return string.Concat(messages[place].Contents.OfType<TextContent>().Select(content => content.Text));
    }

    private static string Describe(AIContent content) => content switch
    {
        DataContent data => $"{nameof(DataContent)} ({data.MediaType})",
        UriContent uri => $"{nameof(UriContent)} ({uri.MediaType})",
        _ => content.GetType().Name,
    };

    /// <summary>An object stays one, for templates that write it in their own way; anything else is text.</summary>
    private static JsonNode ResultOf(FunctionResultContent result, int place, bool writesAsText)
    {
        if (result.Result is null) return result.Exception is null ? "" : "Error: the function failed.";
        if (result.Result is string or TextContent) return result.Result.ToString()!;
        string what = $"messages[{place}]: the result of call '{result.CallId}'";
        if (result.Result is AIContent or IEnumerable<AIContent>)
        {
            IEnumerable<AIContent> contents = result.Result as IEnumerable<AIContent> ?? [(AIContent)result.Result];
            if (contents.FirstOrDefault(content => content is not TextContent) is { } other)
                throw new NotSupportedException($"{what} is {Describe(other)}: this model takes text only.");
            return string.Concat(contents);
        }
        JsonNode? json = Json(result.Result, what);
        return json switch
        {
            null => "",
            JsonObject when !writesAsText => json,
            JsonValue value when value.GetValueKind() == JsonValueKind.String => json,
            _ => json.ToJsonString(Compact),
        };
    }

    private static JsonObject Declare(AIFunctionDeclaration tool) => new()
    {
        ["type"] = "function",
        ["function"] = new JsonObject
        {
            ["name"] = tool.Name,
            ["description"] = tool.Description ?? "",
            ["parameters"] = ToolSchema.Normalize(tool.JsonSchema),
        },
    };

    private static JsonNode? Json(object? value, string what)
    {
        try
        {
            return JsonSerializer.SerializeToNode(value, Compact);
        }
        catch (Exception e) when (e is JsonException or NotSupportedException or InvalidOperationException)
        {
            throw new ArgumentException($"{what} cannot be written as JSON: {e.Message}", e);
        }
    }
}
