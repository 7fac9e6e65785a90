using System.Text.Json;

namespace DiffusionGemma;

/// <summary>A call of a tool.</summary>
/// <param name="Name">The tool's name, as the model wrote it.</param>
/// <param name="Arguments">A JSON object; numbers keep the digits that the model wrote, and of equal names the last counts.</param>
public sealed record AnswerToolCall(string Name, JsonElement Arguments) : AnswerPart;
