using System.Text.Json;

namespace DiffusionGemma;

/// <summary>
/// Conversations from typed rows: the input as text or JSON, the answer exactly as its grammar writes it. A text and an enum's value are a
/// label, written as they are.
/// </summary>
internal sealed class TypedChatSource<TInput, TOutput> : IChatSource
{
    private readonly IEnumerable<(TInput Input, TOutput Output)> _rows;
    private readonly JsonSerializerOptions? _serializer;
    private readonly AnswerGrammar? _grammar;
    private readonly TypedPrompt _prompt;

    /// <exception cref="GrammarException">The answer's type holds what grammars do not read; the part is named.</exception>
    public TypedChatSource(IEnumerable<(TInput Input, TOutput Output)> rows, TypedChatOptions options)
    {
        (_rows, _serializer) = (rows, options.Serializer);
        Type type = Nullable.GetUnderlyingType(typeof(TOutput)) ?? typeof(TOutput);
        bool isLabel = type == typeof(string) || type.IsEnum;
        if (isLabel && options.SchemaInPrompt)
            throw new ArgumentException($"TypedChatOptions.SchemaInPrompt: {type.Name} is a label, which has no schema.", nameof(options));
        _grammar = isLabel ? null : AnswerGrammar.Json<TOutput>(options.Serializer, options.Grammar);
        _prompt = new TypedPrompt(options.Instructions, options.SchemaInPrompt ? _grammar!.Source : null);
    }

    public long? RowCount => _rows.TryGetNonEnumeratedCount(out int count) ? count : null;

    public IEnumerable<RawChatRow> Rows()
    {
        long number = 0;
        foreach ((TInput input, TOutput output) in _rows) yield return Read(input, output, new ChatPosition(null, Row: number++));
    }

    private RawChatRow Read(TInput input, TOutput output, ChatPosition position)
    {
        if (input is null) return new RawChatRow(default, position, "the input is null");
        if (output is null) return new RawChatRow(default, position, "the answer is null");
        try
        {
            string answer = Write(output);
            if (_grammar?.Accepts(answer) == false)
                return new RawChatRow(default, position, $"the answer is no text of its type's grammar: {answer}");
            return new RawChatRow(StrictUtf8.Instance.GetBytes(_prompt.ToJson(Write(input), answer)), position);
        }
        catch (ArgumentException error)
        {
            return new RawChatRow(default, position, $"a value of the row cannot be written: {error.Message}", error);
        }
        catch (Exception error) when (error is JsonException or NotSupportedException)
        {
            return new RawChatRow(default, position, $"a value of the row is no JSON: {error.Message}", error);
        }
    }

    /// <summary>A text as it is, an enum's value by its name, everything else as JSON.</summary>
    private string Write<T>(T value)
    {
        if (value is string text) return text;
        string json = AnswerGrammar.WriteJson(value, _serializer);
        return value is Enum && json.StartsWith('"') ? JsonSerializer.Deserialize<string>(json)! : json;
    }
}
