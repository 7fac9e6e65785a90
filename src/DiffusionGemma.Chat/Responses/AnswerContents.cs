using System.Text.Json;
using Microsoft.Extensions.AI;

namespace DiffusionGemma;

/// <summary>Maps the parts of an answer to the framework's contents.</summary>
internal static class AnswerContents
{
    /// <summary>The <see cref="ErrorContent.ErrorCode"/> of a tool call that cannot be used.</summary>
    public const string MalformedCallCode = "malformed_tool_call";

    /// <summary>Maps parts in order.</summary>
    /// <param name="parts">Parts of an answer.</param>
    /// <param name="keepsReasoning">False leaves reasoning out.</param>
    public static List<AIContent> Map(IEnumerable<AnswerPart> parts, bool keepsReasoning) =>
        [.. parts.Where(part => keepsReasoning || part is not AnswerReasoning).Select(Map)];

    private static AIContent Map(AnswerPart part) => part switch
    {
        AnswerText text => new TextContent(text.Text),
        AnswerReasoning reasoning => new TextReasoningContent(reasoning.Text),
        AnswerToolCall call => new FunctionCallContent($"call_{Guid.NewGuid():N}", call.Name, ArgumentsOf(call)),
        MalformedToolCall call => new ErrorContent($"The model's tool call cannot be used: {call.Reason}.")
        {
            ErrorCode = MalformedCallCode,
            Details = call.Text,
        },
        _ => throw new InvalidOperationException($"No content for {part.GetType().Name}."),
    };

    private static Dictionary<string, object?> ArgumentsOf(AnswerToolCall call) => call.Arguments.EnumerateObject().ToDictionary(
        argument => argument.Name, argument => argument.Value.ValueKind == JsonValueKind.Null ? null : (object?)argument.Value);
}
