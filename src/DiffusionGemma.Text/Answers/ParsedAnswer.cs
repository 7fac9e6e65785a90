using System.Buffers;
using System.Text;
using System.Text.Encodings.Web;
using System.Text.Json;

namespace DiffusionGemma;

/// <summary>A whole answer in its parts: text, reasoning and tool calls.</summary>
/// <param name="Text">The answer proper, without control tokens; empty where there is none.</param>
/// <param name="Reasoning">The text of all thoughts; empty where there are none.</param>
/// <param name="ToolCalls">Tool calls in order.</param>
/// <param name="MalformedToolCalls">Tool calls that cannot be read, in order.</param>
public sealed record ParsedAnswer(
    string Text, string Reasoning, IReadOnlyList<AnswerToolCall> ToolCalls, IReadOnlyList<MalformedToolCall> MalformedToolCalls)
{
    private static readonly JsonWriterOptions Writing = new() { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping };

    /// <summary>Reads the ids of an answer.</summary>
    /// <param name="tokenizer">The checkpoint's tokenizer.</param>
    /// <param name="prompt">Ids that the answer follows: they decide whether it begins inside a thought. Empty: outside.</param>
    /// <param name="answer">Ids of the answer.</param>
    public static ParsedAnswer Parse(DiffusionGemmaTokenizer tokenizer, ReadOnlySpan<int> prompt, IEnumerable<int> answer)
    {
        AnswerParser parser = new(tokenizer, prompt);
        return FromParts([.. parser.Append(answer), .. parser.Complete()]);
    }

    /// <summary>Reads the text of an answer, such as an expected one; the text of a control token in it is that token.</summary>
    /// <param name="tokenizer">The checkpoint's tokenizer.</param>
    /// <param name="answer">The answer's text.</param>
    public static ParsedAnswer Parse(DiffusionGemmaTokenizer tokenizer, string answer)
    {
        ArgumentNullException.ThrowIfNull(tokenizer);
        return Parse(tokenizer, [], tokenizer.EncodeToIds(answer));
    }

    /// <summary>Puts the parts of one kind together.</summary>
    /// <param name="parts">Parts in order, as <see cref="AnswerParser"/> gives them.</param>
    public static ParsedAnswer FromParts(IReadOnlyCollection<AnswerPart> parts)
    {
        ArgumentNullException.ThrowIfNull(parts);
        return new ParsedAnswer(
            string.Concat(parts.OfType<AnswerText>().Select(part => part.Text)),
            string.Concat(parts.OfType<AnswerReasoning>().Select(part => part.Text)),
            [.. parts.OfType<AnswerToolCall>()],
            [.. parts.OfType<MalformedToolCall>()]);
    }

    /// <summary>
    /// The tool calls as JSON in OpenAI's form, fit for a message's <c>tool_calls</c>; malformed ones follow as objects with <c>error</c>
    /// and <c>text</c>. Empty where there are no calls.
    /// </summary>
    /// <example><code>[{"type":"function","function":{"name":"weather","arguments":{"city":"Oslo"}}}]</code></example>
    public string ToolCallsJson()
    {
        if (ToolCalls.Count == 0 && MalformedToolCalls.Count == 0) return "";
        ArrayBufferWriter<byte> json = new();
        using (Utf8JsonWriter writer = new(json, Writing))
        {
            writer.WriteStartArray();
            foreach (AnswerToolCall call in ToolCalls)
            {
                writer.WriteStartObject();
                writer.WriteString("type", "function");
                writer.WriteStartObject("function");
                writer.WriteString("name", call.Name);
                writer.WritePropertyName("arguments");
                call.Arguments.WriteTo(writer);
                writer.WriteEndObject();
                writer.WriteEndObject();
            }
            foreach (MalformedToolCall call in MalformedToolCalls)
            {
                writer.WriteStartObject();
                writer.WriteString("error", call.Reason);
                writer.WriteString("text", call.Text);
                writer.WriteEndObject();
            }
            writer.WriteEndArray();
        }
        return Encoding.UTF8.GetString(json.WrittenSpan);
    }
}
