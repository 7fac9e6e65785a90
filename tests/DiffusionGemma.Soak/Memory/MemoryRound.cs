using Microsoft.ML;
using Microsoft.ML.Data;

namespace DiffusionGemma.Soak;

/// <summary>One life of a model: fine-tuned on sums, saved, loaded, asked, disposed of.</summary>
/// <param name="steps">Optimiser steps of the training.</param>
/// <param name="questions">Rows that the loaded model answers.</param>
internal sealed class MemoryRound(int steps, int questions) : IDisposable
{
    private const int TrainingRows = 32;

    private readonly TemporaryFolder _folder = Fixtures.Temporary("soak");

    /// <summary>Trains an adapter, or all weights, and answers with the model that was saved.</summary>
    public void Run(bool lora)
    {
        var ml = new MLContext(seed: 42);
        IDataView sums = Sums.Load(ml);
        string zip = _folder.File("model.zip");
        FineTuneOptions options = ArithmeticPipeline.Options(steps, lora ? null : _folder.File("checkpoint"));
        using (TransformerChain<DiffusionGemmaTransformer> model =
            ArithmeticPipeline.FineTuning(ml, options).Fit(ml.Data.TakeRows(sums, TrainingRows)))
            ml.Model.Save(model, sums.Schema, zip);

        ITransformer loaded = ml.Model.Load(zip, out _);
        using var disposal = loaded as IDisposable;
        string[] answers = [.. loaded.Transform(ml.Data.TakeRows(sums, questions)).GetColumn<string>("Response")];
        if (answers.Length != questions) throw new InvalidDataException($"{answers.Length} answers to {questions} questions.");
    }

    public void Dispose() => _folder.Dispose();
}
