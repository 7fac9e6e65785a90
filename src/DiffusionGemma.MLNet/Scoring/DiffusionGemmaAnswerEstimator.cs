using Microsoft.ML;
using Microsoft.ML.Runtime;

namespace DiffusionGemma;

/// <summary>
/// Answers with a checkpoint as it is, untrained.
/// <list type="table">
/// <item><term>Reads</term><description><c>InputIds</c> and <c>PromptLength</c></description></item>
/// <item><term>Gives</term>
/// <description>a <see cref="DiffusionGemmaTransformer"/>, which adds <c>Response</c>, <c>ResponseIds</c>, <c>TokensPerForward</c> and
/// <c>Steps</c>; with <see cref="RowFailure.EmptyAnswer"/> also <c>ResponseError</c></description></item>
/// <item><term>Fitting</term><description>reads no row; weights are read when the first row is answered</description></item>
/// </list>
/// </summary>
public sealed class DiffusionGemmaAnswerEstimator : IEstimator<DiffusionGemmaTransformer>
{
    private readonly IHost _host;
    private readonly string _checkpoint;
    private readonly AnswerOptions _options;
    private readonly CheckpointText _text;

    internal DiffusionGemmaAnswerEstimator(IHostEnvironment environment, string checkpoint, AnswerOptions options)
    {
        _host = environment.Register(nameof(DiffusionGemmaAnswerEstimator));
        _checkpoint = checkpoint;
        _text = CheckpointText.Read(checkpoint, options.ChatTemplate);
        _options = options.With(_text);
        _options.Validate(checkpoint);
    }

    /// <inheritdoc/>
    public SchemaShape GetOutputSchema(SchemaShape inputSchema)
    {
        ArgumentNullException.ThrowIfNull(inputSchema);
        foreach (TypedColumn column in AnswerColumns.Inputs(_options))
            column.CheckIn(inputSchema, _host);
        return TypedColumn.Add(inputSchema, AnswerColumns.Outputs(_options));
    }

    /// <summary>A model that answers with the checkpoint.</summary>
    /// <param name="input">Its schema is checked; no row is read.</param>
    public DiffusionGemmaTransformer Fit(IDataView input)
    {
        ArgumentNullException.ThrowIfNull(input);
        AnswerColumns.FindInputs(input.Schema, _options, _host);
        CheckpointText text = _options.ChatTemplate is null ? CheckpointText.ForRows(_checkpoint, _text, input.Schema) : _text;
        return DiffusionGemmaTransformer.Untrained(_host, _checkpoint, text, _options);
    }
}
