using System.Text.Json.Nodes;
using Microsoft.AspNetCore.Http;

namespace DiffusionGemma;

/// <summary>An error in OpenAI's form: <c>{"error": {"message", "type", "param", "code"}}</c>.</summary>
/// <param name="status">The HTTP status.</param>
/// <param name="message">What is wrong, and what to do.</param>
/// <param name="param">The member of the request at fault, such as <c>messages[0].content</c>; null: none.</param>
/// <param name="type">OpenAI's kind of error.</param>
/// <param name="code">A word for programs; null: none.</param>
internal sealed class OpenAIError(
    int status, string message, string? param = null, string type = "invalid_request_error", string? code = null) : Exception(message)
{
    public int Status => status;

    /// <summary>A fault of the request.</summary>
    public static OpenAIError BadRequest(string param, string message) => new(StatusCodes.Status400BadRequest, message, param);

    /// <summary>The error as a body.</summary>
    public JsonObject ToJson() => new()
    {
        ["error"] = new JsonObject { ["message"] = Message, ["type"] = type, ["param"] = param, ["code"] = code },
    };

    public IResult ToResult() => Results.Json(ToJson(), statusCode: status);
}
