using System.Text.Json;
using System.Text.Json.Serialization;

namespace DiffusionGemma;

/// <summary>
/// The language that an answer must be a text of: a JSON schema's instances, a regular expression's texts, or some labels. Denoising under
/// a grammar draws from the model's own distribution, given that the answer is in the language: exactly, with no rejection.
/// </summary>
[JsonConverter(typeof(AnswerGrammarConverter))]
public sealed class AnswerGrammar
{
    private readonly Lazy<ByteAutomaton> _automaton;
    private readonly Language _language;
    private readonly GrammarOptions _options;
    private readonly (int Open, int Close)? _thought;
    private readonly string _calls;

    private AnswerGrammar(
        GrammarKind kind, string source, IReadOnlyList<string> labels, Language language, GrammarOptions options,
        (int Open, int Close)? thought = null, string calls = "")
    {
        (Kind, Source, Labels, _language, _options, _thought) = (kind, source, labels, language, options, thought);
        _calls = calls;
        bool endsApart = EndsApart;
        _automaton = new Lazy<ByteAutomaton>(
            () => endsApart ? LabelAutomaton.Create(labels) : LanguageCompiler.Compile(language, options.MostStates));
    }

    /// <summary>The kind of description that the grammar was made from.</summary>
    public GrammarKind Kind { get; }

    /// <summary>
    /// The description: the schema's JSON, the pattern, or the labels as a JSON array. With <see cref="Kind"/> it makes the
    /// grammar again, but for a thought and calls.
    /// </summary>
    public string Source { get; }

    /// <summary>The labels of <see cref="OneOf"/> in their order; empty for other kinds.</summary>
    public IReadOnlyList<string> Labels { get; }

    /// <summary>Limits that the grammar was made with.</summary>
    internal GrammarOptions Options => _options;

    /// <summary>The ids around a thought before the answer, the first -1 where the prompt has begun it; null: no thought.</summary>
    internal int[]? Thought => _thought is { } ids ? [ids.Open, ids.Close] : null;

    /// <summary>True where each label ends in a state of its own, so that its probability can be read.</summary>
    internal bool EndsApart => Labels.Count > 0 && _thought is null && _calls.Length == 0;

    /// <summary>True where an answer may call tools.</summary>
    internal bool HasCalls => _calls.Length > 0;

    /// <summary>The deterministic automaton over UTF-8 bytes, compiled at first use.</summary>
    internal ByteAutomaton Automaton => _automaton.Value;

    /// <summary>Serialisation by <see cref="Json{T}"/> without options of its own: camel case, enums by name.</summary>
    public static JsonSerializerOptions Serializer => JsonForm.Options;

    /// <summary>
    /// Instances of a JSON schema, written compactly: properties in the schema's order (optional ones may be missing), every character
    /// above U+007F as itself, numbers without exponents and with at most 15 digits before and after the point.
    /// </summary>
    /// <param name="schema">
    /// Objects, arrays, strings (lengths, pattern, common formats), integers and numbers (bounds), booleans, null, enum, const, anyOf,
    /// disjoint oneOf, and $ref within the schema, recursive ones to <see cref="GrammarOptions.RecursionDepth"/>.
    /// </param>
    /// <param name="options">Limits; null: the defaults.</param>
    /// <exception cref="GrammarException">The schema is malformed, not supported (the part is named by its path), or allows
    /// nothing.</exception>
    public static AnswerGrammar JsonSchema(string schema, GrammarOptions? options = null)
    {
        options ??= new GrammarOptions();
        options.Validate();
        return Compiled(GrammarKind.JsonSchema, schema, JsonSchemaReader.Read(schema, options), options);
    }

    /// <summary>Instances of a type, by System.Text.Json's own schema of it: its property names, enums and nullability.</summary>
    /// <param name="serializer">How the type is serialised; null: camel case, enums by name.</param>
    /// <param name="options">Limits; null: the defaults.</param>
    /// <exception cref="GrammarException">The type's schema is not supported; the part is named by its path.</exception>
    public static AnswerGrammar Json<T>(JsonSerializerOptions? serializer = null, GrammarOptions? options = null) =>
        JsonSchema(TypeSchema.Export(typeof(T), serializer ?? JsonForm.Options), options);

    /// <summary>A value in the one form of JSON that grammars of schemas allow: how a training row's answer is to be written.</summary>
    /// <typeparam name="T">Its type, as in <see cref="Json{T}"/>.</typeparam>
    /// <param name="value">What is written.</param>
    /// <param name="serializer">How the type is serialised; null: <see cref="Serializer"/>.</param>
    public static string WriteJson<T>(T value, JsonSerializerOptions? serializer = null) => JsonForm.Write(value, serializer);

    /// <summary>
    /// Texts that a pattern matches as a whole: ECMAScript's syntax in Unicode mode, without look-around, back-references and word
    /// boundaries.
    /// </summary>
    /// <param name="pattern">The pattern, such as <c>[A-Z]{2}\d{4}</c>.</param>
    /// <param name="options">Limits; null: the defaults.</param>
    /// <exception cref="GrammarException">The pattern is malformed, not regular, or matches nothing.</exception>
    public static AnswerGrammar Regex(string pattern, GrammarOptions? options = null)
    {
        options ??= new GrammarOptions();
        options.Validate();
        return Compiled(GrammarKind.Regex, pattern, CharacterEncoding.Utf8(PatternParser.Parse(pattern)), options);
    }

    /// <summary>One of some labels, each written as it is. One may be the beginning of another.</summary>
    /// <exception cref="GrammarException">There is no label, or one twice, or one is empty.</exception>
    public static AnswerGrammar OneOf(params IEnumerable<string> labels)
    {
        string[] list = [.. labels];
        if (list.Length == 0) throw new GrammarException("OneOf needs at least one label.");
        if (list.Any(string.IsNullOrEmpty))
            throw new GrammarException("A label of OneOf must not be empty.");
        if (list.GroupBy(label => label, StringComparer.Ordinal).FirstOrDefault(group => group.Count() > 1) is { } twice)
            throw new GrammarException($"OneOf has the label '{twice.Key}' twice: an answer could not say which is meant.", twice.Key);
        foreach (string label in list) UnicodeText.Require(label, "A label of OneOf");
        Language language = new Language.Choice([.. list.Select(Language.Text)]);
        return new AnswerGrammar(GrammarKind.OneOf, JsonSerializer.Serialize(list, JsonForm.Options), list, language, new GrammarOptions());
    }

    /// <summary>The grammar that <see cref="Kind"/> and <see cref="Source"/> describe.</summary>
    /// <exception cref="GrammarException">The description cannot be read.</exception>
    public static AnswerGrammar Create(GrammarKind kind, string source, GrammarOptions? options = null)
    {
        switch (kind)
        {
            case GrammarKind.JsonSchema: return JsonSchema(source, options);
            case GrammarKind.Regex: return Regex(source, options);
            case GrammarKind.OneOf: return OneOf(JsonSerializer.Deserialize<string[]>(source) ?? []);
            default: throw new ArgumentOutOfRangeException(nameof(kind), kind, "Unknown kind of grammar.");
        }
    }

    /// <summary>
    /// The same answers, before which a model that thinks may write a thought: any text between two special tokens.
    /// <code>
    /// &lt;|channel> ... &lt;channel|> answer      or the answer alone
    /// </code>
    /// </summary>
    /// <param name="open">The id of the token that begins a thought.</param>
    /// <param name="close">The id of the token that ends it.</param>
    /// <param name="isOpen">Whether the prompt has begun the thought, which then has to be ended; false: it may be left out.</param>
    public AnswerGrammar WithThought(int open, int close, bool isOpen = false)
    {
        Language text = CharacterEncoding.Utf8(new Language.Repeat(new Language.Characters(CodePointSet.All), 0, null));
        Language rest = new Language.Sequence([text, new Language.Token(close)]);
        Language thought = isOpen ? rest : Language.Optional(new Language.Sequence([new Language.Token(open), rest]));
        return new AnswerGrammar(
            Kind, Source, Labels, new Language.Sequence([thought, _language]), _options, (isOpen ? -1 : open, close), _calls);
    }

    /// <summary>
    /// Any text: what an answer is without a grammar, and with <see cref="WithCalls"/> what may stand in place of a call or before it.
    /// </summary>
    public static AnswerGrammar AnyText { get; } = Regex(@"[\s\S]*");

    /// <summary>
    /// The same answers, or calls of tools in Gemma's own syntax with arguments from the tools' schemas. Where the answers are
    /// <see cref="AnyText"/>, a text may stand before the calls. A thought comes first: <see cref="WithThought"/> last.
    /// </summary>
    /// <param name="tools">The tools that may be called.</param>
    /// <param name="syntax">The tokens of a call.</param>
    /// <param name="required">True: the answer is a call; false: it may be one.</param>
    /// <param name="several">Whether more than one call may be made.</param>
    /// <exception cref="ArgumentException">There are no tools, or the grammar has a thought already.</exception>
    public AnswerGrammar WithCalls(IReadOnlyList<CallableTool> tools, CallSyntax syntax, bool required = false, bool several = true)
    {
        ArgumentNullException.ThrowIfNull(tools);
        ArgumentNullException.ThrowIfNull(syntax);
        if (tools.Count == 0) throw new ArgumentException("There are no tools to call.", nameof(tools));
        if (_thought is not null) throw new ArgumentException("A thought comes before calls: add it last, by WithThought.");
        Language calls = CallLanguage.Create(tools, syntax, _options, several);
        Language either = (required, IsAnyText) switch
        {
            (true, _) => calls,
            (false, true) => new Language.Sequence([_language, Language.Optional(calls)]),
            _ => new Language.Choice([_language, calls]),
        };
        string key = JsonSerializer.Serialize(new { tools, syntax, required, several }, JsonForm.Options);
        return new AnswerGrammar(Kind, Source, Labels, either, _options, thought: null, _calls + key);
    }

    private bool IsAnyText => (Kind, Source) == (GrammarKind.Regex, AnyText.Source);

    /// <summary>True where both have the same answers because they were made alike.</summary>
    internal bool IsSame(AnswerGrammar other) =>
        ReferenceEquals(this, other)
        || (Kind, Source, _thought, _calls, _options) == (other.Kind, other.Source, other._thought, other._calls, other._options);

    /// <summary>Tests a text for being an answer of the language.</summary>
    public bool Accepts(string text) => Automaton.Accepts(text);

    private static AnswerGrammar Compiled(GrammarKind kind, string source, Language language, GrammarOptions options)
    {
        var grammar = new AnswerGrammar(kind, source, [], language, options);
        if (grammar.Automaton.IsEmpty) throw EmptyLanguage.Fault(language, options.MostStates);
        return grammar;
    }
}
