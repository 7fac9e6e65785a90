using DiffusionGemma.Typed;
using Microsoft.ML;

namespace DiffusionGemma.FineTuning;

/// <summary>
/// One line changed in the pipeline: the base is rounded, the adapter trains over it, and the saved model remembers both.
/// </summary>
public sealed class QuantizationTests
{
    [Theory]
    [InlineData(Quantization.Int4)]
    [InlineData(Quantization.Int8)]
    public void A_pipeline_trains_saves_loads_and_answers(Quantization quantization)
    {
        using TemporaryFolder folder = Fixtures.Temporary();
        var ml = new MLContext(seed: 7);
        IDataView data = TinyChat.Questions(ml, 6);
        IDataView packed = TinyChat.Preparation(ml).Fit(data).Transform(data);
        FineTuneOptions options = TinyChat.Lora with { Quantization = quantization };
        using DiffusionGemmaTransformer trained =
            ml.Transforms.DiffusionGemma.FineTune(TinyChat.Checkpoint, options, TinyChat.Quick).Fit(packed);
        string[] answers = Views.Dump(trained.Transform(packed), "Response");
        ml.Model.Save(trained, packed.Schema, folder.File("model.zip"));
        using var loaded = (DiffusionGemmaTransformer)ml.Model.Load(folder.File("model.zip"), out _);
        Assert.Equal(quantization, loaded.Options.Quantization);
        Assert.Equal(answers, Views.Dump(loaded.Transform(packed), "Response"));
        Assert.Equal(trained.EvaluateLoss(packed).DiffusionLoss, loaded.EvaluateLoss(packed).DiffusionLoss);
    }

    [Fact]
    public void A_checkpoint_answers_in_fewer_bits()
    {
        using TemporaryFolder folder = Fixtures.Temporary();
        var ml = new MLContext(seed: 7);
        IDataView data = TinyChat.Unanswered(ml, "What is 3 plus 4?"), packed = TinyChat.Preparation(ml).Fit(data).Transform(data);
        var options = new AnswerOptions { Generation = TinyChat.Quick, Quantization = Quantization.Int4 };
        using DiffusionGemmaTransformer model = ml.Transforms.DiffusionGemma.Answer(TinyChat.Checkpoint, options).Fit(packed);
        string[] answers = Views.Dump(model.Transform(packed), "Response");
        ml.Model.Save(model, packed.Schema, folder.File("model.zip"));
        using var loaded = (DiffusionGemmaTransformer)ml.Model.Load(folder.File("model.zip"), out _);
        Assert.Equal(Quantization.Int4, loaded.Options.Quantization);
        Assert.Equal(answers, Views.Dump(loaded.Transform(packed), "Response"));
    }

    [Theory]
    [InlineData(Quantization.Int4)]
    [InlineData(Quantization.Int8)]
    public void Typed_answers_come_from_fewer_bits(Quantization quantization)
    {
        var ml = new MLContext(seed: 7);
        DiffusionGemmaCatalog gemma = ml.Transforms.DiffusionGemma;
        IDataView texts = Orders.View(ml);
        var answers = new AnswerOptions { Generation = TinyChat.Quick, Quantization = quantization };
        var classes = new ClassificationEstimator.Options { InputColumnName = "Source", Canvases = 2, Answers = answers };
        using ClassificationTransformer classifier = gemma.Classify(TinyChat.Checkpoint, ["toys", "tools", "food"], classes).Fit(texts);
        RequireSame(ml, classifier, texts, quantization, "Score");
        var values = new ExtractionEstimator.Options { InputColumnName = "Source", Answers = answers };
        using ExtractionTransformer extractor = gemma.Extract(TinyChat.Checkpoint, AnswerGrammar.JsonSchema(
            """{"type":"object","properties":{"count":{"type":"integer","minimum":0,"maximum":9}}}"""), values).Fit(texts);
        RequireSame(ml, extractor, texts, quantization, "ResponseJson");

        // A model that is there already is as it was made, whatever the options say.
        using DiffusionGemmaTransformer plain = gemma.Answer(TinyChat.Checkpoint, TinyChat.Quick)
            .Fit(TinyChat.Preparation(ml).Fit(TinyChat.Questions(ml, 1)).Transform(TinyChat.Questions(ml, 1)));
        using ClassificationTransformer trained = gemma.Classify(plain, ["toys", "tools"], classes).Fit(texts);
        Assert.Equal(Quantization.None, trained.Options.Quantization);
        Assert.Equal(Quantization.None, trained.Answering.Model.Quantization);
    }

    [Fact]
    public void Notices_of_a_folder_are_logged_where_it_answers()
    {
        using TemporaryFolder folder = Fixtures.Temporary();
        QuantizedCheckpoint.Create(TinyChat.Checkpoint, folder.Path, Quantization.Int8);
        var ml = new MLContext(seed: 7);
        List<string> warnings = [];
        ml.Log += (_, line) =>
        {
            lock (warnings)
                if (line.Kind == Microsoft.ML.Runtime.ChannelMessageKind.Warning) warnings.Add(line.RawMessage);
        };
        IDataView data = TinyChat.Unanswered(ml, "What is 3 plus 4?", "What is 1 plus 1?");
        IDataView packed = TinyChat.Preparation(ml).Fit(data).Transform(data);
        using DiffusionGemmaTransformer model = ml.Transforms.DiffusionGemma.Answer(
            folder.Path, new AnswerOptions { Generation = TinyChat.Quick, BatchSize = 1, Quantization = Quantization.Int4 }).Fit(packed);
        Views.Dump(model.Transform(packed), "Response");
        Views.Dump(model.Transform(packed), "Response");
        Assert.Single(warnings, line => line.Contains("activations", StringComparison.Ordinal));
        Assert.Single(warnings, line => line.Contains("rounded twice", StringComparison.Ordinal));
    }

    /// <summary>The weights are rounded, also after saving and loading, and give the same column then.</summary>
    private static void RequireSame(
        MLContext ml, TypedAnswerTransformer model, IDataView texts, Quantization quantization, string column)
    {
        Assert.Equal(quantization, model.Options.Quantization);
        Assert.Equal(quantization, model.Answering.Model.Quantization);
        string[] rows = Views.Dump(model.Transform(texts), column);
        using var loaded = (TypedAnswerTransformer)EstimatorAssert.SaveAndLoad(ml, model, texts.Schema);
        Assert.Equal(quantization, loaded.Options.Quantization);
        Assert.Equal(rows, Views.Dump(loaded.Transform(texts), column));
        Assert.Equal(quantization, loaded.Answering.Model.Quantization);
    }
}
