using Microsoft.ML;
using Microsoft.ML.Data;
using Microsoft.ML.Runtime;

namespace DiffusionGemma;

/// <summary>
/// Reads a text column and adds columns that a model's constrained answers become; the base of <see cref="ExtractionTransformer"/> and
/// <see cref="ClassificationTransformer"/>. Rows come in their order, in batches that are read ahead; where no added column is read, the
/// model does not run. The model is saved inside.
/// </summary>
public abstract class TypedAnswerTransformer : IAnsweringTransformer, IDisposable
{
    private const string ModelEntry = "Model";

    private readonly bool _ownsModel;

    private protected TypedAnswerTransformer(
        IHostEnvironment environment, string name, DiffusionGemmaTransformer answering, bool ownsModel, AnswerOptions options)
    {
        Host = environment.Register(name);
        Answering = answering;
        _ownsModel = ownsModel;
        // A trained or saved model is rounded as it was made.
        Options = options.With(answering.Text) with { Quantization = answering.Options.Quantization };
    }

    /// <summary>The transformer that owns the weights. Disposing this one disposes it too, unless it was given to the estimator.</summary>
    public DiffusionGemmaTransformer Answering { get; }

    /// <summary>Settings for answering rows, the grammar included.</summary>
    public AnswerOptions Options { get; }

    bool ITransformer.IsRowToRowMapper => true;

    private protected IHost Host { get; }

    /// <inheritdoc/>
    public DataViewSchema GetOutputSchema(DataViewSchema inputSchema)
    {
        ArgumentNullException.ThrowIfNull(inputSchema);
        return RowMapper(inputSchema).OutputSchema;
    }

    /// <inheritdoc/>
    public IDataView Transform(IDataView input) => Transform(input, Options);

    /// <summary>Answers rows with other options than the transformer's own; the grammar stays.</summary>
    /// <param name="input">Rows with the text column.</param>
    /// <param name="options">In place of <see cref="Options"/>, all of them.</param>
    /// <exception cref="ArgumentException">An option is out of range, or the input has not the column.</exception>
    public IDataView Transform(IDataView input, AnswerOptions options)
    {
        ArgumentNullException.ThrowIfNull(input);
        ArgumentNullException.ThrowIfNull(options);
        options = options with { Generation = options.Generation with { Grammar = Options.Generation.Grammar, Vocabulary = null } };
        options = options.With(Answering.Text);
        options.Validate(Answering.Folder);
        return new BatchedDataView(Host, Prepare(input), Answerer(options));
    }

    IRowToRowMapper ITransformer.GetRowToRowMapper(DataViewSchema inputSchema) => RowMapper(inputSchema);

    void ICanSaveModel.Save(ModelSaveContext ctx)
    {
        ctx.CheckAtModel();
        Save(ctx);
        ctx.SaveModel(Answering, ModelEntry);
    }

    /// <summary>Frees the weights, where they are this transformer's own.</summary>
    public void Dispose()
    {
        if (_ownsModel) Answering.Dispose();
        GC.SuppressFinalize(this);
    }

    private protected static DiffusionGemmaTransformer LoadModel(IHostEnvironment environment, ModelLoadContext ctx)
    {
        ctx.LoadModel<DiffusionGemmaTransformer, SignatureLoadModel>(environment, out DiffusionGemmaTransformer answering, ModelEntry);
        return answering;
    }

    /// <summary>Saves what the transformer is besides its model.</summary>
    private protected abstract void Save(ModelSaveContext ctx);

    /// <summary>Answers rows with some options.</summary>
    private protected abstract IRowAnswerer Answerer(AnswerOptions options);

    /// <summary>Adds columns that need no model.</summary>
    private protected virtual IDataView Prepare(IDataView input) => input;

    /// <summary>Answers one row at a time.</summary>
    private protected virtual IRowToRowMapper RowMapper(DataViewSchema input) => new AnswerRowMapper(input, Answerer(Options));
}
