using System.Text.Json;
using Microsoft.Extensions.AI;

namespace DiffusionGemma;

/// <summary>Reads the tools of a request, and which of them it asks for.</summary>
internal static class ToolReader
{
    /// <exception cref="OpenAIError">A tool cannot be used.</exception>
    public static void Read(JsonElement body, ChatOptions options, int maxTools)
    {
        if (body.Find("tools")?.RequireArray("tools") is { } tools)
        {
            if (tools.GetArrayLength() > maxTools)
                throw OpenAIError.BadRequest("tools", $"There are {tools.GetArrayLength()} tools; at most {maxTools}.");
            options.Tools = [.. tools.EnumerateArray().Select((tool, i) => Function(tool, $"tools[{i}]"))];
            if (options.Tools.GroupBy(tool => tool.Name).FirstOrDefault(group => group.Count() > 1) is { } twice)
                throw OpenAIError.BadRequest("tools", $"Two tools are named '{twice.Key}'.");
        }
        if (body.Find("tool_choice") is { } choice) options.ToolMode = Choice(choice, options);
    }

    private static AITool Function(JsonElement tool, string path)
    {
        tool.RequireObject(path);
        tool.RequireKnown(path, "type", "function");
        if (tool.Find("type") is not { } type || !type.IsText("function"))
            throw OpenAIError.BadRequest($"{path}.type", $"'{path}.type' is not 'function': only functions are supported.");
        string at = $"{path}.function";
        JsonElement function = (tool.Find("function") ?? throw OpenAIError.BadRequest(at, $"'{at}' is missing.")).RequireObject(at);
        function.RequireKnown(at, "name", "description", "parameters", "strict");
        string name = (function.Find("name") ?? throw OpenAIError.BadRequest($"{at}.name", $"'{at}.name' is missing."))
            .RequireText($"{at}.name");
        if (name.Length is 0 or > 64 || !name.All(c => char.IsAsciiLetterOrDigit(c) || c is '_' or '-' or '.'))
            throw OpenAIError.BadRequest($"{at}.name", $"'{at}.name' has 1 to 64 letters, digits, '_', '-' or '.'.");
        JsonElement parameters = function.Find("parameters")?.RequireObject($"{at}.parameters").Clone()
            ?? JsonElement.Parse("""{"type":"object","properties":{}}""");
        return AIFunctionFactory.CreateDeclaration(name, function.Find("description")?.RequireText($"{at}.description"), parameters);
    }

    private static ChatToolMode Choice(JsonElement choice, ChatOptions options)
    {
        if (choice.ValueKind == JsonValueKind.Object)
        {
            string at = "tool_choice.function.name";
            string name = (choice.Find("function")?.RequireObject("tool_choice.function").Find("name")
                ?? throw OpenAIError.BadRequest(at, $"'{at}' is missing.")).RequireText(at);
            return options.Tools?.Any(tool => tool.Name == name) == true
                ? ChatToolMode.RequireSpecific(name)
                : throw OpenAIError.BadRequest(at, $"'{at}' is '{name}', which 'tools' does not hold.");
        }
        return choice.RequireText("tool_choice") switch
        {
            "none" => ChatToolMode.None,
            "auto" => ChatToolMode.Auto,
            "required" when options.Tools is { Count: > 0 } => ChatToolMode.RequireAny,
            "required" => throw OpenAIError.BadRequest("tool_choice", "'tool_choice' is 'required', and there are no 'tools'."),
            string other => throw OpenAIError.BadRequest(
                "tool_choice", $"'tool_choice' is '{other}': none, auto, required or a function are supported."),
        };
    }
}
