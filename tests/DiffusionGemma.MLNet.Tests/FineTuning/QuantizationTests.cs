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
}
