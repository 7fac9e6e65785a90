using System.Text.Json;

namespace DiffusionGemma;

/// <summary>
/// Reads a tokenizer.json of Gemma's kind (BPE with byte fallback). Whatever in it would change the result and is not supported is refused
/// by name. The file is read once as bytes; the half million merges never become strings.
/// </summary>
internal sealed class TokenizerFileReader
{
    private const int HighestId = (1 << 22) - 1;
    private const int NoPosition = -1;

    private readonly string _path;
    private readonly byte[] _json;

    private readonly Dictionary<string, int> _model = new(300_000, StringComparer.Ordinal);
    private readonly List<AddedToken> _added = [];
    private readonly List<AddedToken> _normalized = [];
    private readonly List<string> _notices = [];
    private readonly HashSet<string> _read = [];
    private bool _hasModel;
    private bool _marksSpaces;
    private bool _hasPreTokenizer;
    private bool? _decoderUnmarksSpaces;
    private int _mergesAt = NoPosition;

    private TokenizerFileReader(string path, byte[] json) => (_path, _json) = (path, json);

    /// <exception cref="InvalidDataException">The file isn't valid, or holds something that is not supported; it says what and
    /// where.</exception>
    public static TokenizerFile Read(string path)
    {
        TokenizerFileReader reader = new(path, File.ReadAllBytes(RegularFile.Require(path)));
        try
        {
            return reader.Read();
        }
        // InvalidOperationException is what the JSON reader throws for a value of the wrong kind, or text that isn't Unicode.
        catch (Exception exception) when (
            exception is JsonException or InvalidOperationException or FormatException or KeyNotFoundException)
        {
            throw reader.Bad($"not a valid tokenizer file: {exception.Message}", exception);
        }
    }

    private TokenizerFile Read()
    {
        Utf8JsonReader json = new(WithoutByteOrderMark(_json));
        json.Read();
        Require(ref json, JsonTokenType.StartObject, "the file");
        while (json.Read() && json.TokenType == JsonTokenType.PropertyName)
        {
            string name = json.GetString()!;
            json.Read();
            ReadProperty(ref json, name);
        }
        while (json.Read()) { }     // throws on anything after the object

        if (!_hasModel)
            throw Bad("it has no 'model'");
        if (_hasPreTokenizer && !_marksSpaces)
            throw Bad("pre_tokenizer 'Split' without a normalizer that replaces spaces is not supported");
        if (_decoderUnmarksSpaces != _marksSpaces)
            throw Bad("the decoder does not undo the normalizer; supported is Sequence of Replace '▁' by ' ', ByteFallback, Fuse");
        if (_added.Count == 0)
            _notices.Add($"{_path}: 'added_tokens' is missing or empty: control tokens such as <bos> that stand in a text are split "
                + "into pieces. Fetch tokenizer.json again if the checkpoint has some.");
        CheckBytes();
        CheckAddedTokens();
        CheckNormalizedTokens();
        Vocabulary vocabulary = new(new Dictionary<string, int>(_model, StringComparer.Ordinal), _added);
        return new TokenizerFile(vocabulary, ReadMerges(vocabulary), _added, _marksSpaces, _notices);
    }

    private void ReadProperty(ref Utf8JsonReader json, string name)
    {
        Note(name);
        switch (name)
        {
            case "version":
                if (json.GetString() is var version && version != "1.0")
                    throw Bad($"version '{version}' is not supported, only 1.0");
                break;
            case "post_processor":
                using (JsonDocument document = Parse(ref json))
                    CheckPostProcessor(document.RootElement);
                break;
            case "truncation":
            case "padding":
                if (json.TokenType != JsonTokenType.Null)
                    _notices.Add($"{_path}: '{name}' is ignored: "
                        + "rows are cut and padded when they are packed, and ids do not depend on it.");
                Parse(ref json).Dispose();
                break;
            case "added_tokens":
                using (JsonDocument document = Parse(ref json))
                    ReadAddedTokens(document.RootElement);
                break;
            case "normalizer":
                using (JsonDocument document = Parse(ref json))
                    _marksSpaces = ReadNormalizer(document.RootElement);
                break;
            case "pre_tokenizer":
                using (JsonDocument document = Parse(ref json))
                    _hasPreTokenizer = ReadPreTokenizer(document.RootElement);
                break;
            case "decoder":
                using (JsonDocument document = Parse(ref json))
                    _decoderUnmarksSpaces = ReadDecoder(document.RootElement);
                break;
            case "model":
                ReadModel(ref json);
                break;
            default:
                RequireNothing(ref json, $"property '{name}'");
                break;
        }
    }

    private void ReadAddedTokens(JsonElement tokens)
    {
        foreach (JsonElement token in tokens.EnumerateArray())
        {
            string content = token.GetProperty("content").GetString() ?? throw Bad("an added token has no content");
            if (content.Length == 0)
                throw Bad("an added token is empty");
            foreach (string flag in (string[])["single_word", "lstrip", "rstrip"])
            {
                if (token.TryGetProperty(flag, out JsonElement given) && given.GetBoolean())
                    throw Bad($"added token '{content}' has {flag}: true, which is not supported");
            }
            AddedToken added = new(ReadId(token.GetProperty("id").GetInt64(), content), content, IsSpecial(token));
            _added.Add(added);
            // 'normalized' is true where the file doesn't say otherwise and the token isn't special.
            if (token.TryGetProperty("normalized", out JsonElement normalized) ? normalized.GetBoolean() : !added.IsSpecial)
                _normalized.Add(added);
        }

        static bool IsSpecial(JsonElement token) => token.TryGetProperty("special", out JsonElement special) && special.GetBoolean();
    }

    private bool ReadNormalizer(JsonElement normalizer)
    {
        if (normalizer.ValueKind == JsonValueKind.Null)
            return false;
        if (IsReplace(OnlyStep(normalizer, "normalizers"), " ", "▁"))
            return true;
        throw Bad($"normalizer {Shorten(normalizer)} is not supported, only Replace ' ' by '▁'");
    }

    private bool ReadPreTokenizer(JsonElement preTokenizer)
    {
        if (preTokenizer.ValueKind == JsonValueKind.Null)
            return false;
        // Splits at spaces, and the normalizer has left none: it does nothing.
        JsonElement step = OnlyStep(preTokenizer, "pretokenizers");
        bool splitsAtSpaces = TypeOf(step) == "Split"
            && step.TryGetProperty("pattern", out JsonElement pattern) && IsString(pattern, "String", " ")
            && !(step.TryGetProperty("invert", out JsonElement invert) && invert.GetBoolean());
        if (!splitsAtSpaces)
            throw Bad($"pre_tokenizer {Shorten(preTokenizer)} is not supported, only Split at ' '");
        return true;
    }

    private bool ReadDecoder(JsonElement decoder)
    {
        if (TypeOf(decoder) == "Sequence" && decoder.TryGetProperty("decoders", out JsonElement list)
            && list.ValueKind == JsonValueKind.Array)
        {
            JsonElement[] steps = [.. list.EnumerateArray()];
            bool unmarks = steps.Length > 0 && IsReplace(steps[0], "▁", " ");
            string?[] rest = [.. steps.Skip(unmarks ? 1 : 0).Select(TypeOf)];
            if (rest is ["ByteFallback", "Fuse"])
                return unmarks;
        }
        throw Bad($"decoder {Shorten(decoder)} is not supported, only Sequence of Replace '▁' by ' ', ByteFallback, Fuse");
    }

    /// <summary>
    /// Accepts post-processors that only add tokens around a text (the chat template writes &lt;bos&gt;, and text is encoded without) or
    /// change offsets. One that would write the text twice, or not at all, is refused.
    /// </summary>
    private void CheckPostProcessor(JsonElement processor)
    {
        switch (TypeOf(processor))
        {
            case null when processor.ValueKind == JsonValueKind.Null:
                break;
            case "Sequence" when processor.TryGetProperty("processors", out JsonElement steps) && steps.ValueKind == JsonValueKind.Array:
                foreach (JsonElement step in steps.EnumerateArray())
                    CheckPostProcessor(step);
                break;
            case "TemplateProcessing" when processor.TryGetProperty("single", out JsonElement single)
                && single.ValueKind == JsonValueKind.Array && single.EnumerateArray().Count(IsSequence) == 1:
                break;
            case ("BertProcessing" or "RobertaProcessing" or "ByteLevel") and var type:
                _notices.Add($"{_path}: post_processor '{type}' is ignored: "
                    + "it adds tokens around a text, or changes offsets; text is encoded without.");
                break;
            default:
                throw Bad($"post_processor {Shorten(processor)} is not supported: it does not write the text once");
        }

        static bool IsSequence(JsonElement piece) => piece.ValueKind == JsonValueKind.Object && piece.TryGetProperty("Sequence", out _);
    }

    private void ReadModel(ref Utf8JsonReader json)
    {
        Require(ref json, JsonTokenType.StartObject, "'model'");
        bool byteFallback = false;
        while (json.Read() && json.TokenType == JsonTokenType.PropertyName)
        {
            string name = json.GetString()!;
            json.Read();
            Note($"model.{name}");
            switch (name)
            {
                case "type":
                    if (json.GetString() is var type && type != "BPE")
                        throw Bad($"model type '{type}' is not supported, only BPE");
                    break;
                case "dropout":
                    if (json.TokenType != JsonTokenType.Null && json.GetDouble() != 0)
                        throw Bad("model dropout is not supported: its result would be random");
                    break;
                case "continuing_subword_prefix":
                case "end_of_word_suffix":
                    if (!string.IsNullOrEmpty(json.GetString()))
                        throw Bad($"model {name} is not supported");
                    break;
                case "ignore_merges":
                    if (json.GetBoolean())
                        throw Bad("model ignore_merges: true is not supported");
                    break;
                case "byte_fallback":
                    byteFallback = json.GetBoolean();
                    break;
                case "unk_token":           // never written: every character has its bytes
                case "fuse_unk":
                    json.Skip();
                    break;
                case "vocab":
                    ReadVocabulary(ref json);
                    break;
                case "merges":
                    Require(ref json, JsonTokenType.StartArray, "'merges'");
                    _mergesAt = (int)json.TokenStartIndex + (_json.Length - WithoutByteOrderMark(_json).Length);
                    json.Skip();
                    break;
                default:
                    RequireNothing(ref json, $"model property '{name}'");
                    break;
            }
        }
        if (!byteFallback)
            throw Bad("model byte_fallback: false is not supported");
        if (_model.Count == 0)
            throw Bad("the model has no vocabulary");
        if (_mergesAt == NoPosition)
            throw Bad("the model has no merges");
        _hasModel = true;
    }

    /// <summary>Accepts a property that is not known where it asks for nothing: null, false, or empty.</summary>
    private void RequireNothing(ref Utf8JsonReader json, string what)
    {
        bool asksForNothing = json.TokenType is JsonTokenType.Null or JsonTokenType.False || json.TokenType == JsonTokenType.String
            && json.ValueSpan.IsEmpty;
        if (json.TokenType is JsonTokenType.StartObject or JsonTokenType.StartArray)
        {
            using JsonDocument document = Parse(ref json);
            asksForNothing = document.RootElement.ValueKind == JsonValueKind.Array
                ? document.RootElement.GetArrayLength() == 0 : !document.RootElement.EnumerateObject().Any();
        }
        if (!asksForNothing)
            throw Bad($"{what} is not known");
    }

    private void ReadVocabulary(ref Utf8JsonReader json)
    {
        Require(ref json, JsonTokenType.StartObject, "'vocab'");
        HashSet<int> taken = new(300_000);
        while (json.Read() && json.TokenType == JsonTokenType.PropertyName)
        {
            string token = json.GetString()!;
            json.Read();
            int id = ReadId(json.GetInt64(), token);
            if (!_model.TryAdd(token, id))
                throw Bad($"token '{token}' stands twice in the vocabulary");
            if (!taken.Add(id))
                throw Bad($"id {id} stands twice in the vocabulary");
        }
    }

    private int ReadId(long id, string token) =>
        id is >= 0 and <= HighestId ? (int)id : throw Bad($"token '{token}' has id {id}, not between 0 and {HighestId}");

    /// <summary>Pairs of strings, or strings with one space between the two, as older files have them.</summary>
    private List<Merge> ReadMerges(Vocabulary vocabulary)
    {
        MergeReader reader = new(_model);
        Utf8JsonReader json = new(_json.AsSpan(_mergesAt));
        json.Read();
        List<Merge> merges = new(600_000);
        while (json.Read() && json.TokenType != JsonTokenType.EndArray)
        {
            if (!reader.TryRead(ref json, out Merge merge, out string? problem))
                throw Bad($"merge {merges.Count}: {problem}");
            if (vocabulary.ByteOf(merge.Left) >= 0 || vocabulary.ByteOf(merge.Right) >= 0)
                throw Bad($"merge {merges.Count}: merging a byte token is not supported");
            merges.Add(merge);
        }
        return merges;
    }

    private void CheckBytes()
    {
        for (int value = 0; value <= byte.MaxValue; value++)
        {
            if (!_model.ContainsKey(Vocabulary.ByteToken((byte)value)))
                throw Bad($"byte_fallback is on, but the vocabulary has no token {Vocabulary.ByteToken((byte)value)}");
        }
    }

    /// <summary>
    /// The reference gives an added token the id that the vocabulary has for it, or else the next free one, whatever the file says.
    /// </summary>
    private void CheckAddedTokens()
    {
        Dictionary<string, int> known = new(StringComparer.Ordinal);
        int next = _model.Count;
        foreach (AddedToken token in _added)
        {
            if (!_model.TryGetValue(token.Content, out int expected) && !known.TryGetValue(token.Content, out expected))
                expected = next;
            if (token.Id != expected)
                throw Bad($"added token '{token.Content}' has id {token.Id}, where its place in the vocabulary is {expected}");
            if (!known.TryAdd(token.Content, token.Id))
                throw Bad($"added token '{token.Content}' stands twice");
            next = Math.Max(next, token.Id + 1);
        }
    }

    /// <summary>
    /// A token with 'normalized' is looked for after the others, in the normalized text. That is the same where it holds no space, and
    /// where no other token can overlap with it.
    /// </summary>
    private void CheckNormalizedTokens()
    {
        HashSet<string> normalized = [.. _normalized.Select(token => token.Content)];
        string[] others = [.. _added.Select(token => token.Content).Where(content => !normalized.Contains(content))];
        foreach (string content in normalized)
        {
            if (_marksSpaces && content.AsSpan().ContainsAny(' ', Vocabulary.SpaceMark))
                throw Bad($"added token '{content}' has normalized: true and holds a space, which is not supported");
            if (others.FirstOrDefault(other => Overlap(content, other)) is { } overlapping)
                throw Bad($"added token '{content}' has normalized: true and may overlap with '{overlapping}', which is not supported");
        }

        static bool Overlap(string left, string right) =>
            left.Contains(right, StringComparison.Ordinal) || right.Contains(left, StringComparison.Ordinal)
            || EndBegins(left, right) || EndBegins(right, left);

        static bool EndBegins(string left, string right)
        {
            for (int length = 1; length < Math.Min(left.Length, right.Length); length++)
            {
                if (left.AsSpan(left.Length - length).SequenceEqual(right.AsSpan(0, length)))
                    return true;
            }
            return false;
        }
    }

    /// <summary>The one step of a Sequence, or the step itself.</summary>
    private static JsonElement OnlyStep(JsonElement step, string list) =>
        TypeOf(step) == "Sequence" && step.TryGetProperty(list, out JsonElement steps) && steps.ValueKind == JsonValueKind.Array
        && steps.GetArrayLength() == 1 ? steps[0] : step;

    /// <summary>Reads the value as a document. As in the reference, a property that occurs twice is an error.</summary>
    private JsonDocument Parse(ref Utf8JsonReader json)
    {
        int start = (int)json.TokenStartIndex + (_json.Length - WithoutByteOrderMark(_json).Length);
        json.Skip();
        int end = (int)json.BytesConsumed + (_json.Length - WithoutByteOrderMark(_json).Length);
        return JsonDocument.Parse(_json.AsMemory(start..end), new JsonDocumentOptions { AllowDuplicateProperties = false });
    }

    private static bool IsReplace(JsonElement step, string pattern, string content) =>
        TypeOf(step) == "Replace" && step.TryGetProperty("pattern", out JsonElement given) && IsString(given, "String", pattern)
        && IsString(step, "content", content);

    private static string? TypeOf(JsonElement step) =>
        step.ValueKind == JsonValueKind.Object && step.TryGetProperty("type", out JsonElement type)
            && type.ValueKind == JsonValueKind.String
            ? type.GetString() : null;

    private static bool IsString(JsonElement element, string property, string value) =>
        element.ValueKind == JsonValueKind.Object && element.TryGetProperty(property, out JsonElement given)
        && given.ValueKind == JsonValueKind.String && given.ValueEquals(value);

    private void Note(string property)
    {
        if (!_read.Add(property))
            throw Bad($"property '{property}' stands twice");
    }

    private void Require(ref Utf8JsonReader json, JsonTokenType kind, string what)
    {
        if (json.TokenType != kind)
            throw Bad($"{what} is {json.TokenType}, where {kind} is expected");
    }

    private static ReadOnlySpan<byte> WithoutByteOrderMark(byte[] json) =>
        json.AsSpan().StartsWith("\uFEFF"u8) ? json.AsSpan(3) : json;

    private static string Shorten(JsonElement element) =>
        element.GetRawText() is { Length: > 200 } text ? text[..200] + "..." : element.GetRawText();

    private InvalidDataException Bad(string problem, Exception? cause = null) => new($"{_path}: {problem}.", cause);
}
