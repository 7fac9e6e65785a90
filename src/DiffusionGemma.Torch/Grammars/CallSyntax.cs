namespace DiffusionGemma;

/// <summary>
/// The tokens of Gemma's tool calls.
/// <code>
/// &lt;|tool_call>call:weather{city:&lt;|"|>Oslo&lt;|"|>,days:3}&lt;tool_call|>&lt;|tool_response>
/// </code>
/// </summary>
/// <param name="Open">The id of the token that begins a call.</param>
/// <param name="Close">The id of the token that ends it.</param>
/// <param name="Quote">The id of the token around texts.</param>
/// <param name="Response">The id of the token that may follow the last call, where the tool's result is awaited; null: none.</param>
public sealed record CallSyntax(int Open, int Close, int Quote, int? Response = null);
