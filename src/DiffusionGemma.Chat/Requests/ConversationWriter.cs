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
    /// <param name="forms">The form of calls and results.</param>
    /// <exception cref="ArgumentException">The messages are none, or leave nothing to answer.</exception>
    /// <exception cref="NotSupportedException">A message holds what is no text.</exception>
    public static ChatConversation Write(
        IReadOnlyList<ChatMessage> messages, IEnumerable<string> systemText, IReadOnlyList<AIFunctionDeclaration> tools,
        IEnumerable<KeyValuePair<string, object?>> arguments, CallForms forms = default)
    {
        if (messages.Count == 0) throw new ArgumentException("There are no messages: a conversation has at least one.", nameof(messages));
        JsonArray rows = [];
        int first = 0;
        List<string> system = [.. systemText];
        while (first < messages.Count && messages[first].Role == ChatRole.System)
        {
            RefuseMisplaced(messages[first], first);
            RefuseOther(messages[first], first);
            system.Add(TextOf(messages[first++].Contents));
        }
        if (system.Count > 0) rows.Add(Row("system", string.Join(Separator, system)));
        Dictionary<string, string> names = [];
        for (int i = first; i < messages.Count; i++) AddRows(rows, messages, i, names, forms);
        if (rows is [] || messages[^1].Role == ChatRole.Assistant)
            throw new ArgumentException(
                "The last message is the assistant's: there is nothing to answer. End with a user's message or a tool's result.",
                nameof(messages));

        JsonObject row = new() { ["messages"] = rows };
        if (tools.Count > 0) row["tools"] = new JsonArray([.. tools.Select(Declare)]);
        foreach ((string name, object? value) in arguments) row[name] = Json(value, $"The template argument '{name}'");
        return ChatConversation.Parse(row.ToJsonString());
    }

    /// <summary>True if a message holds a tool's result.</summary>
    public static bool HasResults(IEnumerable<ChatMessage> messages) =>
        messages.Any(message => message.Contents.Any(content => content is FunctionResultContent));

    private static void AddRows(
        JsonArray rows, IReadOnlyList<ChatMessage> messages, int place, Dictionary<string, string> names, CallForms forms)
    {
        ChatMessage message = messages[place];
        RefuseMisplaced(message, place);
        RefuseOther(message, place);
        // Results are rows of their own, between what stands before and behind them.
        AIContent[] contents = [.. message.Contents.Where(content => content is not (UsageContent or ErrorContent))];
        if (message.Role == ChatRole.Tool && (contents.Length == 0 || contents.Any(content => content is not FunctionResultContent)))
            throw new ArgumentException(
                $"messages[{place}] is a tool's: it holds FunctionResultContent and nothing else.", nameof(messages));
        bool hasResults = contents.Any(content => content is FunctionResultContent);
        int done = 0;
        do
        {
            AIContent[] own = [.. contents.Skip(done).TakeWhile(content => content is not FunctionResultContent)];
            if (!hasResults || own.Any(content => content is not TextContent { Text: "" }))
                rows.Add(WriteOwn(message, own, place, names, forms));
            done += own.Length;
            for (; done < contents.Length && contents[done] is FunctionResultContent result; done++)
                rows.Add(WriteResult(result, place, names, forms));
        }
        while (done < contents.Length);
    }

    private static JsonObject WriteResult(FunctionResultContent result, int place, Dictionary<string, string> names, CallForms forms)
    {
        JsonObject row = new()
        {
            ["role"] = "tool", ["tool_call_id"] = result.CallId, ["content"] = ResultOf(result, place, forms.ResultsAreText),
        };
        if (names.TryGetValue(result.CallId, out string? name)) row["name"] = name;
        return row;
    }

    private static JsonObject WriteOwn(
        ChatMessage message, AIContent[] contents, int place, Dictionary<string, string> names, CallForms forms)
    {
        JsonObject written = Row(message.Role == ChatRole.Assistant ? "assistant" : message.Role.Value, TextOf(contents));
        if (!string.IsNullOrEmpty(message.AuthorName)) written["name"] = message.AuthorName;
        string thought = string.Concat(contents.OfType<TextReasoningContent>().Select(content => content.Text));
        // Templates differ on the key.
        if (thought.Length > 0) (written["reasoning"], written["reasoning_content"]) = (thought, thought);
        FunctionCallContent[] calls = [.. contents.OfType<FunctionCallContent>()];
        if (calls.Length > 0) written["tool_calls"] = new JsonArray([.. calls.Select(Call)]);
        return written;

        JsonNode Call(FunctionCallContent call)
        {
            names[call.CallId] = call.Name;
            IEnumerable<KeyValuePair<string, object?>> arguments = call.Arguments ?? new Dictionary<string, object?>();
            JsonObject json = (JsonObject)Json(new Dictionary<string, object?>(arguments),
                $"messages[{place}]: the arguments of '{call.Name}'")!;
            if (forms.NullsAreLeftOut) LeaveNullsOut(json);
            return new JsonObject
            {
                ["id"] = call.CallId,
                ["type"] = "function",
                ["function"] = new JsonObject { ["name"] = call.Name, ["arguments"] = json },
            };
        }
    }

    private static void LeaveNullsOut(JsonNode? node)
    {
        if (node is JsonArray list)
            foreach (JsonNode? item in list) LeaveNullsOut(item);
        if (node is not JsonObject dict) return;
        foreach (string name in dict.Where(item => item.Value is null).Select(item => item.Key).ToArray()) dict.Remove(name);
        foreach ((_, JsonNode? value) in dict) LeaveNullsOut(value);
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

    private static string TextOf(IEnumerable<AIContent> contents) =>
        string.Concat(contents.OfType<TextContent>().Select(content => content.Text));

    private static void RefuseOther(ChatMessage message, int place)
    {
        foreach (AIContent content in message.Contents)
            if (content is not (TextContent or TextReasoningContent or FunctionCallContent or FunctionResultContent
                or UsageContent or ErrorContent))
                throw new NotSupportedException(
                    $"messages[{place}] holds {Describe(content)}: this model takes text only. "
                    + "Leave it out, or put what it says into words.");
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
            ["parameters"] = SchemaOf(tool),
        },
    };

    private static JsonObject SchemaOf(AIFunctionDeclaration tool)
    {
        try
        {
            return ToolSchema.Normalize(tool.JsonSchema);
        }
        catch (NotSupportedException e)
        {
            throw new NotSupportedException($"ChatOptions.Tools: '{tool.Name}': {e.Message}", e);
        }
    }

    private static JsonNode? Json(object? value, string what)
    {
        try
        {
            return JsonSerializer.SerializeToNode(value, Compact);
        }
        catch (Exception e) when (e is JsonException or NotSupportedException or InvalidOperationException or ArgumentException)
        {
            throw new ArgumentException($"{what} cannot be written as JSON: {e.Message}", e);
        }
    }
}
