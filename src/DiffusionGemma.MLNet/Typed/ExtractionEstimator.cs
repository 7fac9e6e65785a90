using System.Text.Json;
using System.Text.Json.Serialization.Metadata;
using Microsoft.ML;
using Microsoft.ML.Runtime;

namespace DiffusionGemma;

/// <summary>
/// Reads typed columns from texts: the model answers each with an instance of a JSON schema, whose values become columns.
/// <code>
/// Text          two red pens for Ada, 3.50 each
/// ResponseJson  {"item":"pen","count":2,"color":"red","price":3.5}
/// item pen (text)      count 2 (Int64)      color red (key)      price 3.5 (Double)
/// </code>
/// <list type="table">
/// <item><term>integer</term><description>Int64; Double where it may be missing or is beyond Int64</description></item>
/// <item><term>number</term><description>Double, of a .NET float Single; missing: NaN</description></item>
/// <item><term>boolean</term><description>Boolean; Single 0, 1 or NaN where it may be missing</description></item>
/// <item><term>string</term><description>text; missing: empty</description></item>
/// <item><term>enum, const</term><description>key over the values in the schema's order; missing: 0</description></item>
/// <item><term>object</term><description>a column for each of its values, with dotted names</description></item>
/// <item><term>array of such values</term><description>vector of variable length; missing: empty</description></item>
/// <item><term>array of objects, alternatives of several types</term><description>in <c>ResponseJson</c> alone</description></item>
/// </list>
/// </summary>
/// <remarks>Columns are named as the .NET members are, where a type is given, else as the schema's properties. Fitting reads no
/// row.</remarks>
public sealed class ExtractionEstimator : IEstimator<ExtractionTransformer>
{
    private readonly IHost _host;
    private readonly ModelSource _model;
    private readonly ExtractionPlan _plan;
    private readonly AnswerOptions _answers;

    internal ExtractionEstimator(IHostEnvironment environment, ModelSource model, AnswerGrammar grammar, Type? type, Options options)
    {
        ArgumentNullException.ThrowIfNull(options);
        options.Validate();
        if (grammar.Kind != GrammarKind.JsonSchema)
            throw new ArgumentException(
                $"Extract needs a grammar of a JSON schema, and this one is of kind {grammar.Kind}.", nameof(grammar));
        _host = environment.Register(nameof(ExtractionEstimator));
        _model = model;
        AnswerOptions answers = options.Answers ?? model.Options;
        GenerationOptions generation = answers.Generation with { Grammar = grammar, Vocabulary = null };
        _answers = (answers with { Generation = generation }).With(model.Text);
        _plan = new ExtractionPlan(
            options.InputColumnName, options.ResponseJsonColumnName,
            new TypedPrompt(options.Instructions, options.SchemaInPrompt ? grammar.Source : null), options.EscapeSpecialTokens,
            SchemaColumns.Read(grammar.Source, type, WithResolver(options.Serializer ?? AnswerGrammar.Serializer)));
        _plan.RequireNames(_answers);
        _answers.Validate(model.Folder);
    }

    /// <inheritdoc/>
    public SchemaShape GetOutputSchema(SchemaShape inputSchema)
    {
        ArgumentNullException.ThrowIfNull(inputSchema);
        TypedColumn.Text(_plan.InputColumn).CheckIn(inputSchema, _host);
        return OutputShape.Add(inputSchema, _plan.Outputs(_answers));
    }

    /// <summary>The transformer that reads columns.</summary>
    /// <param name="input">Its schema is checked; no row is read.</param>
    public ExtractionTransformer Fit(IDataView input)
    {
        ArgumentNullException.ThrowIfNull(input);
        TypedColumn.Text(_plan.InputColumn).FindIn(input.Schema, _host);
        (DiffusionGemmaTransformer answering, bool isNew) = _model.Create(_host, _answers.Quantization);
        return new ExtractionTransformer(_host, answering, isNew, _plan, _answers);
    }

    private static JsonSerializerOptions WithResolver(JsonSerializerOptions serializer) => serializer.TypeInfoResolver is not null
        ? serializer : new JsonSerializerOptions(serializer) { TypeInfoResolver = new DefaultJsonTypeInfoResolver() };

    /// <summary>Settings of the step.</summary>
    public sealed class Options
    {
        /// <summary>Text: what is read. Default: "Text".</summary>
        public string InputColumnName { get; set; } = "Text";

        /// <summary>Text: the whole answer as JSON. Default: "ResponseJson".</summary>
        public string ResponseJsonColumnName { get; set; } = "ResponseJson";

        /// <summary>The system message of every prompt: what is to be read. Null: none.</summary>
        public string? Instructions { get; set; }

        /// <summary>
        /// True: the system message also holds the schema, as in the chat client. A model that was tuned on such rows needs it.
        /// </summary>
        public bool SchemaInPrompt { get; set; }

        /// <summary>
        /// True: the text of a special token inside a row, such as <c>&lt;turn|&gt;</c>, stays text; false: it becomes the token. Default:
        /// true.
        /// </summary>
        public bool EscapeSpecialTokens { get; set; } = true;

        /// <summary>
        /// Settings for answering rows; the grammar in them is replaced. Null: as a trained model's own options say, or the defaults.
        /// </summary>
        public AnswerOptions? Answers { get; set; }

        /// <summary>Serialisation of the type, and so the names in the JSON; null: <see cref="AnswerGrammar.Serializer"/>.</summary>
        public JsonSerializerOptions? Serializer { get; set; }

        /// <summary>Limits of the grammar; null: the defaults.</summary>
        public GrammarOptions? Grammar { get; set; }

        internal void Validate()
        {
            ArgumentException.ThrowIfNullOrEmpty(InputColumnName);
            ArgumentException.ThrowIfNullOrEmpty(ResponseJsonColumnName);
        }
    }
}
