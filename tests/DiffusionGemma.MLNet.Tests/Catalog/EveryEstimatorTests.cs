using DiffusionGemma.FineTuning;
using DiffusionGemma.Typed;
using Microsoft.ML;

namespace DiffusionGemma.Catalog;

/// <summary>Every estimator of the catalog keeps ML.NET's promises (<see cref="EstimatorAssert"/>).</summary>
public sealed class EveryEstimatorTests
{
    private static readonly string[] Packed = ["InputIds", "LossMask", "PromptLength", "CanvasCount", "PaddedLength", "CutTokens"];

    private readonly MLContext _ml = new(seed: 5);

    private DiffusionGemmaCatalog Gemma => _ml.Transforms.DiffusionGemma;

    private IDataView Rows
    {
        get
        {
            IDataView data = TinyChat.Questions(_ml, 5);
            return _ml.Transforms.SelectColumns(["Messages", .. Packed]).Fit(Prepared(data)).Transform(Prepared(data));
        }
    }

    [Fact]
    public void TokenizeChat() =>
        EstimatorAssert.Holds(_ml, Gemma.TokenizeChat(TinyChat.Checkpoint, escapeSpecialTokens: true), TinyChat.Questions(_ml, 5),
            "Messages");

    [Fact]
    public void MaskResponse()
    {
        IDataView data = TinyChat.Questions(_ml, 5);
        EstimatorAssert.Holds(_ml, Gemma.MaskResponse(), Gemma.TokenizeChat(TinyChat.Checkpoint).Fit(data).Transform(data),
            "AssistantMask");
    }

    [Fact]
    public void PackCanvas()
    {
        IDataView data = TinyChat.Questions(_ml, 5);
        IDataView masked = Gemma.TokenizeChat(TinyChat.Checkpoint).Append(Gemma.MaskResponse()).Fit(data).Transform(data);
        EstimatorAssert.Holds(_ml, Gemma.PackCanvas(TinyChat.Checkpoint, 64), masked, "InputIds", "LossMask");
    }

    [Fact]
    public void Answer()
    {
        var options = new AnswerOptions
        {
            Generation = TinyChat.Quick, BatchSize = 2, BatchesAhead = 1,
            OnFailure = RowFailure.EmptyAnswer
        };
        using DiffusionGemmaTransformer model = EstimatorAssert.Holds(_ml, Gemma.Answer(TinyChat.Checkpoint, options), Rows, "InputIds",
            "PromptLength");
    }

    [Fact]
    public void FineTune()
    {
        var answers = new AnswerOptions { Generation = TinyChat.Quick, BatchSize = 3 };
        using DiffusionGemmaTransformer model = EstimatorAssert.Holds(_ml, Gemma.FineTune(TinyChat.Checkpoint, TinyChat.Lora, answers),
            Rows,
            Packed);
    }

    [Fact]
    public void Extract()
    {
        var options = new ExtractionEstimator.Options
        {
            InputColumnName = "Source", Instructions = "Read the order.",
            Answers = new AnswerOptions { Generation = TinyChat.Quick with { MaxNewTokens = 96 }, BatchSize = 2, BatchesAhead = 1 },
        };
        using ExtractionTransformer model = EstimatorAssert.Holds(
            _ml, Gemma.Extract<Order>(TinyChat.Checkpoint, options), Orders.View(_ml), "Source");
    }

    [Fact]
    public void Classify()
    {
        var options = new ClassificationEstimator.Options
        {
            InputColumnName = "Source", LabelColumnName = "Truth", Canvases = 2,
            Answers = new AnswerOptions { BatchSize = 2, BatchesAhead = 1, OnFailure = RowFailure.EmptyAnswer },
        };
        using ClassificationTransformer model = EstimatorAssert.Holds(
            _ml, Gemma.Classify(TinyChat.Checkpoint, ["food", "tools", "toys"], options), Orders.View(_ml), "Source", "Truth");
    }

    private IDataView Prepared(IDataView data) => TinyChat.Preparation(_ml).Fit(data).Transform(data);
}
