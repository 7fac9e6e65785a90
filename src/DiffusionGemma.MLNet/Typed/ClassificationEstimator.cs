using Microsoft.ML;
using Microsoft.ML.Runtime;

namespace DiffusionGemma;

/// <summary>
/// Classifies texts: adds <c>PredictedLabel</c>, a key whose values are the labels in their order, and <c>Score</c>, the probability of
/// each, given that the answer is one of them; by option also the key <c>Label</c> from a text column. They are what
/// <c>ml.MulticlassClassification.Evaluate</c> reads.
/// <code>
/// Text            my card was charged twice            labels  billing, delivery, other
/// Score           0.91 0.03 0.06                       slots in the labels' order, adding up to 1
/// PredictedLabel  1 (billing)                          the argmax of Score
/// </code>
/// </summary>
/// <remarks>Fitting reads no row.</remarks>
public sealed class ClassificationEstimator : IEstimator<ClassificationTransformer>
{
    private readonly IHost _host;
    private readonly ModelSource _model;
    private readonly ClassificationPlan _plan;
    private readonly AnswerOptions _answers;

    internal ClassificationEstimator(IHostEnvironment environment, ModelSource model, IReadOnlyList<string> labels, Options options)
    {
        ArgumentNullException.ThrowIfNull(labels);
        ArgumentNullException.ThrowIfNull(options);
        options.Validate();
        _host = environment.Register(nameof(ClassificationEstimator));
        _model = model;
        var grammar = AnswerGrammar.OneOf(labels);
        AnswerOptions answers = options.Answers ?? model.Options;
        GenerationOptions generation = answers.Generation with { Grammar = grammar, Vocabulary = null };
        _answers = (answers with { Generation = generation }).With(model.Text);
        _plan = new ClassificationPlan(
            options.InputColumnName, options.LabelColumnName, options.OutputLabelColumnName, options.PredictedLabelColumnName,
            options.ScoreColumnName, new TypedPrompt(options.Instructions, Schema: null), options.EscapeSpecialTokens, grammar.Labels,
            options.Scoring, options.Canvases);
        _answers.Validate(model.Folder);
        RequireShort(grammar);
    }

    /// <inheritdoc/>
    public SchemaShape GetOutputSchema(SchemaShape inputSchema)
    {
        ArgumentNullException.ThrowIfNull(inputSchema);
        TypedColumn.Text(_plan.InputColumn).CheckIn(inputSchema, _host);
        if (_plan.LabelSource is not null)
        {
            LabelKeyTransformer.Input(_plan).CheckIn(inputSchema, _host);
            inputSchema = OutputShape.Add(inputSchema, [_plan.TrueLabel()]);
        }
        return OutputShape.Add(inputSchema, _plan.Outputs(_answers));
    }

    /// <summary>The transformer that classifies.</summary>
    /// <param name="input">Its schema is checked; no row is read.</param>
    public ClassificationTransformer Fit(IDataView input)
    {
        ArgumentNullException.ThrowIfNull(input);
        TypedColumn.Text(_plan.InputColumn).FindIn(input.Schema, _host);
        if (_plan.LabelSource is not null) LabelKeyTransformer.Input(_plan).FindIn(input.Schema, _host);
        (DiffusionGemmaTransformer answering, bool isNew) = _model.Create(_host);
        return new ClassificationTransformer(_host, answering, isNew, _plan, _answers);
    }

    /// <summary>A label that does not fit would never be predicted.</summary>
    private void RequireShort(AnswerGrammar grammar)
    {
        IReadOnlyList<int> tokens = _model.Text.Vocabulary.LabelTokens(grammar);
        int canvas = DiffusionGemmaConfig.Load(_model.Folder).CanvasLength;
        int most = Math.Min(canvas, _answers.Generation.Resolve(_model.Folder).MaxNewTokens!.Value);
        for (int label = 0; label < tokens.Count; label++)
            if (tokens[label] > most)
                throw new ArgumentException($"The label '{grammar.Labels[label]}' takes {tokens[label]} tokens, and {most} fit (the canvas "
                    + $"has {canvas}, and GenerationOptions.MaxNewTokens counts too): shorten it.");
    }

    /// <summary>Settings of the step.</summary>
    public sealed class Options
    {
        /// <summary>Text: what is classified. Default: "Text".</summary>
        public string InputColumnName { get; set; } = "Text";

        /// <summary>Text: the true label, which becomes a key; null: none is read.</summary>
        public string? LabelColumnName { get; set; }

        /// <summary>Key: the true label; only with <see cref="LabelColumnName"/>. Default: "Label".</summary>
        public string OutputLabelColumnName { get; set; } = "Label";

        /// <summary>Key: the label of the largest score. Default: "PredictedLabel".</summary>
        public string PredictedLabelColumnName { get; set; } = "PredictedLabel";

        /// <summary>Vector of single: the probability of each label. Default: "Score".</summary>
        public string ScoreColumnName { get; set; } = "Score";

        /// <summary>The system message of every prompt, which says what the labels mean. Null: none.</summary>
        public string? Instructions { get; set; }

        /// <summary>
        /// True: the text of a special token inside a row, such as <c>&lt;turn|&gt;</c>, stays text; false: it becomes the token. Default:
        /// true.
        /// </summary>
        public bool EscapeSpecialTokens { get; set; } = true;

        /// <summary>The way to make probabilities. Default: <see cref="LabelScoring.RandomCanvases"/>.</summary>
        public LabelScoring Scoring { get; set; } = LabelScoring.RandomCanvases;

        /// <summary>
        /// Random canvases of each row, one decoder pass each, for <see cref="LabelScoring.RandomCanvases"/>. Default: 32.
        /// </summary>
        public int Canvases { get; set; } = 32;

        /// <summary>
        /// Settings for answering rows; the grammar in them is replaced. Null: as a trained model's own options say, or the defaults.
        /// </summary>
        public AnswerOptions? Answers { get; set; }

        internal void Validate()
        {
            ArgumentException.ThrowIfNullOrEmpty(InputColumnName);
            if (LabelColumnName is not null) ArgumentException.ThrowIfNullOrEmpty(LabelColumnName);
            ArgumentException.ThrowIfNullOrEmpty(OutputLabelColumnName);
            ArgumentException.ThrowIfNullOrEmpty(PredictedLabelColumnName);
            ArgumentException.ThrowIfNullOrEmpty(ScoreColumnName);
            if (!Enum.IsDefined(Scoring)) throw new ArgumentOutOfRangeException(nameof(Scoring), Scoring, "Must be one of the named ways.");
            ArgumentOutOfRangeException.ThrowIfLessThan(Canvases, 1);
        }
    }
}
