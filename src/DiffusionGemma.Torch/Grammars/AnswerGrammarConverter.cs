using System.Text.Json;
using System.Text.Json.Serialization;

namespace DiffusionGemma;

/// <summary>Writes a grammar as what it was made from, and makes it again: how saved models keep theirs.</summary>
internal sealed class AnswerGrammarConverter : JsonConverter<AnswerGrammar>
{
    /// <inheritdoc/>
    public override AnswerGrammar? Read(ref Utf8JsonReader reader, Type typeToConvert, JsonSerializerOptions options)
    {
        Description description = JsonSerializer.Deserialize<Description>(ref reader, JsonForm.Options)
            ?? throw new JsonException("A grammar is an object with a kind and a source.");
        var limits = new GrammarOptions { RecursionDepth = description.RecursionDepth, MostStates = description.MostStates };
        try
        {
            AnswerGrammar grammar = AnswerGrammar.Create(description.Kind, description.Source, limits);
            return description.Thought is [var open, var close] ? grammar.WithThought(open, close, open < 0) : grammar;
        }
        catch (GrammarException fault)
        {
            throw new JsonException($"A saved grammar cannot be read: {fault.Message}", fault);
        }
    }

    /// <inheritdoc/>
    /// <exception cref="NotSupportedException">The grammar has calls of tools, which are of one request.</exception>
    public override void Write(Utf8JsonWriter writer, AnswerGrammar value, JsonSerializerOptions options)
    {
        if (value.HasCalls) throw new NotSupportedException("A grammar with calls of tools is not saved: its tools are of one request.");
        JsonSerializer.Serialize(
            writer, new Description(value.Kind, value.Source, value.Options.RecursionDepth, value.Options.MostStates, value.Thought),
            JsonForm.Options);
    }

    /// <summary>A grammar's origin.</summary>
    /// <param name="Kind">Schema, pattern or labels.</param>
    /// <param name="Source">Its text.</param>
    /// <param name="RecursionDepth">As in <see cref="GrammarOptions"/>.</param>
    /// <param name="MostStates">As in <see cref="GrammarOptions"/>.</param>
    /// <param name="Thought">The ids around a thought, the first -1 where the prompt has begun it; null: no thought.</param>
    private sealed record Description(GrammarKind Kind, string Source, int RecursionDepth, int MostStates, int[]? Thought);
}
