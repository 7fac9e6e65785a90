using DiffusionGemma.FineTuning;
using Microsoft.ML;
using Microsoft.ML.Data;

namespace DiffusionGemma.Scoring;

/// <summary>Transformers that are disposed of twice and in every order, and used afterwards: an exception that says so.</summary>
public sealed class DisposalTests
{
    private readonly MLContext _ml = new(seed: 7);

    private IDataView Question => TinyChat.Unanswered(_ml, "What is 8 plus 7?");

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void An_answering_model(bool isLoaded)
    {
        DiffusionGemmaTransformer model = Answering();
        IDataView scored = model.Transform(Prompts());
        DiffusionGemmaModel? weights = isLoaded ? model.Model : null;
        model.Dispose();
        model.Dispose();
        weights?.Dispose();
        Assert.Throws<ObjectDisposedException>(() => model.Model);
        Assert.Throws<ObjectDisposedException>(() => model.Adapter);
        Assert.Throws<ObjectDisposedException>(() => model.Infill(TinyChat.Row("What is 8 plus 7?"), "<gap:2>"));
        Assert.Throws<ObjectDisposedException>(() => model.Refine(TinyChat.Row("What is 8 plus 7?"), "15"));
        Assert.IsType<ObjectDisposedException>(
            Assert.ThrowsAny<Exception>(() => scored.GetColumn<string>("Response").ToArray()).GetBaseException());
        if (weights is not null) Assert.Throws<ObjectDisposedException>(() => CanvasGenerator.Generate(weights, [[2, 105, 300]]));
        Assert.Equal(Path.GetFileName(TinyChat.Checkpoint), model.Checkpoint.Name);
    }

    /// <summary>A model of its own goes with it; one that it was given stays.</summary>
    [Fact]
    public void A_classifying_model()
    {
        IDataView rows = _ml.Data.LoadFromEnumerable(new[] { new TextRow { Text = "What is 8 plus 7?" } });
        ClassificationTransformer own = _ml.Transforms.DiffusionGemma.Classify(TinyChat.Checkpoint, ["even", "odd"]).Fit(rows);
        own.Dispose();
        own.Dispose();
        Assert.Throws<ObjectDisposedException>(() => own.Answering.Model);
        Assert.IsType<ObjectDisposedException>(
            Assert.ThrowsAny<Exception>(() => own.Transform(rows).GetColumn<uint>("PredictedLabel").ToArray())
                .GetBaseException());

        using DiffusionGemmaTransformer given = Answering();
        ClassificationTransformer other = _ml.Transforms.DiffusionGemma.Classify(given, ["even", "odd"]).Fit(rows);
        other.Dispose();
        other.Dispose();
        Assert.Single(given.Transform(Prompts()).GetColumn<string>("Response"));
    }

    private DiffusionGemmaTransformer Answering() =>
        _ml.Transforms.DiffusionGemma.Answer(TinyChat.Checkpoint, TinyChat.Quick).Fit(Prompts());

    private IDataView Prompts()
    {
        DiffusionGemmaCatalog gemma = _ml.Transforms.DiffusionGemma;
        return gemma.TokenizeChat(TinyChat.Checkpoint).Append(gemma.MaskResponse()).Fit(Question).Transform(Question);
    }

    private sealed class TextRow
    {
        public string Text { get; set; } = "";
    }
}
