using DiffusionGemma.FineTuning;
using Microsoft.ML;
using Microsoft.ML.Data;

namespace DiffusionGemma.Typed;

/// <summary>Texts to labels and scores with tiny-chat, which never saw such texts: what holds is the form.</summary>
public sealed class ClassificationTests
{
    private static readonly string[] Labels = ["toys", "tools", "food", "toy"];

    private readonly MLContext _ml = new(seed: 3);

    private DiffusionGemmaCatalog Gemma => _ml.Transforms.DiffusionGemma;

    [Theory]
    [InlineData(LabelScoring.RandomCanvases)]
    [InlineData(LabelScoring.LastPass)]
    public void ML_NETs_evaluator_takes_the_columns_as_they_are(LabelScoring scoring)
    {
        var options = new ClassificationEstimator.Options
        {
            InputColumnName = "Source", LabelColumnName = "Truth", Scoring = scoring, Canvases = 3, Instructions = "Say which it is.",
            Answers = new AnswerOptions { Generation = TinyChat.Quick },
        };
        using ClassificationTransformer model = Gemma.Classify(TinyChat.Checkpoint, Labels, options).Fit(Orders.View(_ml));
        IDataView view = model.Transform(Orders.View(_ml));
        MulticlassClassificationMetrics metrics = _ml.MulticlassClassification.Evaluate(view);
        float[][] scores = [.. view.GetColumn<float[]>("Score")];
        uint[] predicted = [.. view.GetColumn<uint>("PredictedLabel")], truth = [.. view.GetColumn<uint>("Label")];
        Assert.Equal([2u, 1u, 3u], truth);
        for (int row = 0; row < scores.Length; row++)
        {
            Assert.Equal(1, scores[row].Sum(), 1e-5);                                           // a sum of four numbers in float32
            Assert.Equal(scores[row].Max(), scores[row][predicted[row] - 1]);
        }
        Assert.Equal(predicted.Zip(truth).Count(pair => pair.First == pair.Second) / 3.0, metrics.MicroAccuracy, 1e-9);
        // ML.NET takes no probability below 1e-15.
        Assert.Equal(-scores.Zip(truth).Average(pair => Math.Log(Math.Max(pair.First[pair.Second - 1], 1e-15))), metrics.LogLoss, 1e-4);

        VBuffer<ReadOnlyMemory<char>> names = default;
        view.Schema["Score"].GetSlotNames(ref names);
        Assert.Equal(Labels, names.DenseValues().Select(name => name.ToString()));
        foreach (string column in (string[])["Label", "PredictedLabel"])
        {
            view.Schema[column].GetKeyValues(ref names);
            Assert.Equal(Labels, names.DenseValues().Select(name => name.ToString()));
        }
    }

    [Fact]
    public void A_prediction_engine_of_a_loaded_model_gives_the_same_scores()
    {
        using ClassificationTransformer model = Gemma.Classify(TinyChat.Checkpoint, Labels, "Source").Fit(Orders.View(_ml));
        float[][] batch = [.. model.Transform(Orders.View(_ml)).GetColumn<float[]>("Score")];
        var loaded = (ClassificationTransformer)EstimatorAssert.SaveAndLoad(_ml, model, Orders.View(_ml).Schema);
        Assert.Equal(Labels, loaded.Labels);
        using PredictionEngine<Orders.Row, Prediction> engine = _ml.Model.CreatePredictionEngine<Orders.Row, Prediction>(loaded);
        float[] one = engine.Predict(new Orders.Row { Source = "seven apples" }).Score;
        // Rows beside it may change rounding.
        for (int label = 0; label < Labels.Length; label++) Assert.Equal(batch[2][label], one[label], 1e-4);
    }

    /// <summary>A label's probability does not depend on the order in which labels are listed.</summary>
    [Fact]
    public void Scores_follow_the_labels_order()
    {
        using ClassificationTransformer forward = Gemma.Classify(TinyChat.Checkpoint, Labels, "Source").Fit(Orders.View(_ml));
        using ClassificationTransformer backward = Gemma.Classify(TinyChat.Checkpoint, [.. Labels.Reverse()], "Source")
            .Fit(Orders.View(_ml));
        foreach ((float[] a, float[] b) in forward.Transform(Orders.View(_ml)).GetColumn<float[]>("Score")
            .Zip(backward.Transform(Orders.View(_ml)).GetColumn<float[]>("Score")))
            for (int label = 0; label < Labels.Length; label++) Assert.Equal(a[label], b[^(label + 1)], 1e-5);
    }

    [Fact]
    public void A_label_that_is_none_of_them_is_an_error_of_its_row()
    {
        IDataView rows = _ml.Data.LoadFromEnumerable<Orders.Row>(
            [new() { Source = "a" }, new() { Source = "b", Truth = "Toys" }]);
        using ClassificationTransformer model = Gemma.Classify(TinyChat.Checkpoint, Labels, "Source", "Truth").Fit(rows);
        Exception error = Assert.ThrowsAny<Exception>(() => Views.Dump(model.Transform(rows), "Label"));
        ChatDataException fault = error.GetBaseExceptionOf<ChatDataException>();
        Assert.Equal(1, fault.Row);
        Assert.Contains("Truth is 'Toys'", fault.Message, StringComparison.Ordinal);
        Assert.Equal("Label=0", Views.Dump(model.Transform(_ml.Data.TakeRows(rows, 1)), "Label")[0]);
    }

    [Fact]
    public void A_row_that_cannot_be_classified_has_no_score()
    {
        IDataView rows = _ml.Data.LoadFromEnumerable<Orders.Row>([new() { Source = "a" }, new()]);
        var options = new ClassificationEstimator.Options
        {
            InputColumnName = "Source", Canvases = 1, Answers = new AnswerOptions { OnFailure = RowFailure.EmptyAnswer },
        };
        using ClassificationTransformer model = Gemma.Classify(TinyChat.Checkpoint, Labels, options).Fit(rows);
        string[] dump = Views.Dump(model.Transform(rows), "PredictedLabel", "Score", "ResponseError");
        Assert.Equal("PredictedLabel=0 | Score=NaN,NaN,NaN,NaN | ResponseError=Source is empty", dump[1]);
    }

    [Fact]
    public void Labels_that_cannot_be_told_apart_or_are_too_long_are_refused()
    {
        Assert.Contains("'a' twice", Assert.Throws<GrammarException>(() => Gemma.Classify(TinyChat.Checkpoint, ["a", "b", "a"])).Message,
            StringComparison.Ordinal);
        Assert.Contains("at least one", Assert.Throws<GrammarException>(() => Gemma.Classify(TinyChat.Checkpoint, [])).Message,
            StringComparison.Ordinal);
        string text = new('7', 40);
        string message = Assert.Throws<ArgumentException>(() => Gemma.Classify(TinyChat.Checkpoint, ["a", text])).Message;
        Assert.Contains($"'{text}' takes 40 tokens, and 32 fit", message, StringComparison.Ordinal);
        Assert.Throws<ArgumentOutOfRangeException>(() => Gemma.Classify(
            TinyChat.Checkpoint, ["a"], new ClassificationEstimator.Options { Canvases = 0 }));
    }

    internal sealed class Prediction
    {
        [VectorType(4)]
        public float[] Score { get; set; } = [];
    }
}
