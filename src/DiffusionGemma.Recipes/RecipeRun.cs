using Microsoft.ML;
using Microsoft.ML.Data;

namespace DiffusionGemma;

/// <summary>The outcome of <see cref="FineTuneRecipe.Fit"/>: the trained model, its history, and where it was written.</summary>
public sealed class RecipeRun : IDisposable
{
    private readonly DiffusionGemmaTransformer _answers;

    internal RecipeRun(TransformerChain<DiffusionGemmaTransformer> model, DataViewSchema inputSchema) =>
        (Model, InputSchema, _answers) = (model, inputSchema, model.LastTransformer);

    /// <summary>The fitted pipeline: it answers rows of conversations, and is saved by <c>mlContext.Model.Save</c>.</summary>
    public ITransformer Model { get; }

    /// <summary>The schema of the rows, as <c>mlContext.Model.Save</c> takes it.</summary>
    public DataViewSchema InputSchema { get; }

    /// <summary>The part of <see cref="Model"/> that answers, with the adapter.</summary>
    public DiffusionGemmaTransformer Answers => _answers;

    /// <summary>Row counts and course of the training.</summary>
    public FineTuneSummary Summary => _answers.Summary!;

    /// <summary>One record a step, from the first step also where the run was resumed.</summary>
    public IReadOnlyList<StepRecord> History => Summary.History;

    /// <summary>One record an evaluation on the recipe's held-out rows; empty where it has none.</summary>
    public IReadOnlyList<EvaluationRecord> Evaluations => Summary.Evaluations;

    /// <summary>The saved pipeline, for <c>mlContext.Model.Load</c>; null where the recipe writes none, and on further processes.</summary>
    public string? ModelFile { get; internal init; }

    /// <summary>The adapter's folder in PEFT's format; null after full fine-tuning, and where the recipe writes none.</summary>
    public string? AdapterFolder { get; internal init; }

    /// <summary>The folder with the trained weights after full fine-tuning, in Hugging Face's format; null with LoRA.</summary>
    public string? WeightsFolder { get; internal init; }

    /// <summary>Frees the model.</summary>
    public void Dispose() => (Model as IDisposable)?.Dispose();
}
