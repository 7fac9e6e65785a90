using System.Buffers;
using System.Text;
using System.Text.Encodings.Web;
using System.Text.Json;

namespace DiffusionGemma;

/// <summary>Converts one row of chat data, as JSON, to the text of the Messages column.</summary>
/// <remarks>The text is the messages array unchanged or, where the row has other keys that are not null, the row's object.</remarks>
internal static class ChatRow
{
    private const string MessagesKey = "messages";
    public const string ShareGptKey = "conversations";

    /// <summary>The key of the system message in rows of ShareGPT and Alpaca.</summary>
    public const string SystemKey = "system";

    /// <summary>
    /// Arguments of a chat template that tables often hold as JSON text, because a column has one type and these values have many.
    /// </summary>
    public static readonly string[] TemplateKeys = ["tools", "chat_template_kwargs"];

    // As deep as a conversation may be. The text is read by a JSON reader, never by a browser: letters of all scripts stay as they are.
    public static readonly JsonDocumentOptions Reading = new() { MaxDepth = 128 };
    private static readonly JsonWriterOptions Writing = new()
    {
        Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping,
        SkipValidation = true
    };

    /// <exception cref="ChatDataException">The row is no conversation.</exception>
    public static string Read(RawChatRow raw, ChatDataOptions options, ChatTokenizer? tokenizer)
    {
        ChatPosition position = raw.Position;
        if (raw.Fault is { } fault)
            throw new ChatDataException(fault, position, raw.Cause);
        try
        {
            using var document = JsonDocument.Parse(raw.Json, Reading);
            string text = Read(document.RootElement, options);
            ChatConversation conversation = ChatConversation.Parse(text);
            tokenizer?.Encode(conversation);
            return text;
        }
        catch (ChatException error)
        {
            throw tokenizer is null ? new ChatDataException(error.Message, position, error)
                : TemplateFaults.Describe(error, tokenizer, position);
        }
        catch (JsonException error)
        {
            throw new ChatDataException($"the row is not valid JSON: {error.Message}", position, error);
        }
        catch (InvalidRowException error)
        {
            throw new ChatDataException(error.Message, position, error.InnerException) { MissingColumn = error.MissingColumn };
        }
        catch (InvalidOperationException error)
        {
            // A string that is no text: half of a surrogate pair, written as an escape.
            throw new ChatDataException($"a string of the row cannot be read: {error.Message}", position, error);
        }
    }

    private static string Read(JsonElement row, ChatDataOptions options)
    {
        if (options.QuestionColumn is not null)
            return ReadQuestion(row, options.QuestionColumn, options);
        if (row.ValueKind == JsonValueKind.Array)
        {
            Require(!IsListOfRows(row), () => "the row is a list of rows: give each of them as a row of its own");
            return ShareGpt.IsTurns(row) ? ShareGpt.ToMessages(row, system: null) : row.GetRawText();
        }
        Require(row.ValueKind == JsonValueKind.Object, () =>
            $"a row is an object with '{options.MessagesColumn}', this one is {Describe(row)}");

        string key = options.MessagesColumn;
        if (TryGet(row, key, out JsonElement messages))
            return ReadList(row, messages, key);
        if (TryGet(row, ShareGptKey, out messages))
            return ReadList(row, messages, ShareGptKey);
        if (PromptCompletion.Is(row))
            return WithOtherKeys(row, PromptCompletion.ToMessages(row), PromptCompletion.PromptKey, PromptCompletion.CompletionKey);
        if (TryGet(row, Alpaca.InstructionKey, out _))
            return WithOtherKeys(row, Alpaca.ToMessages(row, out string[] used), used);
        throw new InvalidRowException(
            $"the row has no '{key}' (and no '{ShareGptKey}' or '{Alpaca.InstructionKey}'); it has {Keys(row)}. Name the key of the "
                + $"messages, {nameof(options.MessagesColumn)}, or those of a question and its answer, "
                + $"{nameof(options.QuestionColumn)} and {nameof(options.AnswerColumn)} (in the tool --messages-column, "
                + "--question-column, --answer-column)")
        { MissingColumn = key };
    }

    /// <summary>True for a list whose first item is an object, but no message (it has no role) and no turn of ShareGPT.</summary>
    public static bool IsListOfRows(JsonElement list) =>
        list.GetArrayLength() > 0 && list[0] is { ValueKind: JsonValueKind.Object } first && !first.TryGetProperty("role", out _)
        && !ShareGpt.IsTurns(list) && first.EnumerateObject().Any();

    /// <summary>
    /// Reads messages of OpenAI's or ShareGPT's shape; a <c>system</c> text beside ShareGPT's key or turns goes before them.
    /// </summary>
    private static string ReadList(JsonElement row, JsonElement value, string key)
    {
        bool takesSystem = false;
        string messages = InText(value, key, list =>
        {
            Require(list.ValueKind == JsonValueKind.Array, () => $"'{key}' must be a list of messages, it is {Describe(list)}");
            bool isTurns = ShareGpt.IsTurns(list);
            takesSystem = isTurns || key == ShareGptKey;
            if (!takesSystem)
                return list.GetRawText();
            Require(list.GetArrayLength() > 0, () => $"the list '{key}' is empty");
            string? system = OptionalText(row, SystemKey);
            return isTurns ? ShareGpt.ToMessages(list, system) : Write(writer =>
            {
                writer.WriteStartArray();
                if (!string.IsNullOrEmpty(system))
                    new ConversationMessage("system", system).WriteTo(writer);
                foreach (JsonElement message in list.EnumerateArray())
                    message.WriteTo(writer);
                writer.WriteEndArray();
            });
        });
        return takesSystem ? WithOtherKeys(row, messages, key, SystemKey) : WithOtherKeys(row, messages, key);
    }

    private static string ReadQuestion(JsonElement row, string questionKey, ChatDataOptions options)
    {
        Require(row.ValueKind == JsonValueKind.Object, () => $"a row is an object with '{questionKey}', this one is {Describe(row)}");
        foreach (string media in ChatConversation.MediaKeys)
            Require(!TryGet(row, media, out JsonElement value) || value.ValueKind == JsonValueKind.String && value.ValueEquals("")
                || value.ValueKind == JsonValueKind.Array && value.GetArrayLength() == 0,
                () => $"the row has '{media}': this library is text only; take out what is not text, or the row");
        if (!TryGet(row, questionKey, out _))
            throw new InvalidRowException(MissingText(questionKey)) { MissingColumn = questionKey };
        string question = Text(row, questionKey);
        string? answer = options.AnswerColumn is { } key ? Text(row, key) : null;
        return WithKeys(ConversationMessage.ToJson(new QuestionAnswer(question, answer, options.SystemPrompt).Messages),
            [.. Properties(row).Where(IsTemplateKey)]);
    }

    public static string Text(JsonElement row, string key)
    {
        Require(TryGet(row, key, out JsonElement value), () => MissingText(key));
        Require(value.ValueKind == JsonValueKind.String, () => $"'{key}' must be text, it is {Describe(value)}");
        return value.GetString()!;
    }

    private static string MissingText(string key) => $"'{key}' is null or missing: give it a text, or take the row out";

    public static string? OptionalText(JsonElement row, string key) => TryGet(row, key, out _) ? Text(row, key) : null;

    /// <summary>Reads a value, or the JSON text of one (many parquet writers store it so).</summary>
    private static string InText(JsonElement value, string key, Func<JsonElement, string> read)
    {
        if (value.ValueKind != JsonValueKind.String)
            return read(value);
        try
        {
            using var inner = JsonDocument.Parse(value.GetString()!, Reading);
            return read(inner.RootElement);
        }
        catch (JsonException error)
        {
            throw new InvalidRowException($"'{key}' is a text that is not JSON: {error.Message}", error);
        }
    }

    private static string WithOtherKeys(JsonElement row, string messages, params string[] used)
    {
        JsonProperty[] others = [.. Properties(row).Where(property => property.Value.ValueKind != JsonValueKind.Null
            && !used.Any(property.NameEquals))];
        return WithKeys(messages, others);
    }

    private static string WithKeys(string messages, JsonProperty[] others)
    {
        others = [.. others.Where(other => !IsBlankTemplateKey(other))];
        if (others.Length == 0)
            return messages;
        return Write(writer =>
        {
            writer.WriteStartObject();
            writer.WritePropertyName(MessagesKey);
            writer.WriteRawValue(messages);
            foreach (JsonProperty other in others)
                WriteOther(writer, other);
            writer.WriteEndObject();
        });
    }

    private static bool IsTemplateKey(JsonProperty property) =>
        property.Value.ValueKind != JsonValueKind.Null && TemplateKeys.Any(property.NameEquals);

    /// <summary>True for tools, or arguments of the template, whose JSON text is blank: there are none.</summary>
    private static bool IsBlankTemplateKey(JsonProperty property) => property.Value.ValueKind == JsonValueKind.String
        && TemplateKeys.Any(property.NameEquals) && string.IsNullOrWhiteSpace(property.Value.GetString());

    private static void WriteOther(Utf8JsonWriter writer, JsonProperty other)
    {
        if (other.Value.ValueKind != JsonValueKind.String || TemplateKeys.FirstOrDefault(other.NameEquals) is not { } key)
        {
            other.WriteTo(writer);
            return;
        }
        writer.WritePropertyName(key);
        writer.WriteRawValue(InText(other.Value, key, value => value.GetRawText()));
    }

    /// <summary>The keys of an object, each once: as in Python the last value of a repeated key wins, in the place of the first.</summary>
    public static IEnumerable<JsonProperty> Properties(JsonElement item)
    {
        var last = new OrderedDictionary<string, JsonProperty>();
        foreach (JsonProperty property in item.EnumerateObject())
            last[property.Name] = property;
        return last.Values;
    }

    public static string Write(Action<Utf8JsonWriter> write)
    {
        var buffer = new ArrayBufferWriter<byte>();
        using (var writer = new Utf8JsonWriter(buffer, Writing))
            write(writer);
        return Encoding.UTF8.GetString(buffer.WrittenSpan);
    }

    /// <summary>Finds a key; a null counts as absent, because table formats cannot leave a key out.</summary>
    public static bool TryGet(JsonElement item, string key, out JsonElement value) =>
        item.TryGetProperty(key, out value) && value.ValueKind != JsonValueKind.Null;

    public static void Require(bool holds, Func<string> reason)
    {
        if (!holds)
            throw new InvalidRowException(reason());
    }

    public static string Describe(JsonElement value) => value.ValueKind switch
    {
        JsonValueKind.Null or JsonValueKind.Undefined => "null",
        JsonValueKind.Object => "an object",
        JsonValueKind.Array => "a list",
        JsonValueKind.String when value.ValueEquals("") => "empty",
        JsonValueKind.String => "a text",
        JsonValueKind.Number => $"the number {value.GetRawText()}",
        _ => value.GetRawText(),
    };

    private static string Keys(JsonElement row)
    {
        string[] keys = [.. row.EnumerateObject().Select(property => $"'{property.Name}'").Take(12)];
        return keys.Length == 0 ? "no keys" : string.Join(", ", keys);
    }
}
