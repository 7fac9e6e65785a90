using DiffusionGemma.FineTuning;
using Microsoft.ML;

namespace DiffusionGemma.Catalog;

/// <summary>A pipeline without one of its steps is refused by the name of that step.</summary>
public sealed class MissingStepTests
{
    private readonly MLContext _ml = new(seed: 1);

    private DiffusionGemmaCatalog Gemma => _ml.Transforms.DiffusionGemma;

    private IDataView Rows => TinyChat.Questions(_ml, 2);

    [Fact]
    public void Fine_tuning_names_the_step_that_is_missing()
    {
        DiffusionGemmaEstimator train = Gemma.FineTune(TinyChat.Checkpoint, TinyChat.Lora);
        IEstimator<ITransformer> tokenize = Gemma.TokenizeChat(TinyChat.Checkpoint), mask = Gemma.MaskResponse();
        Names("'InputIds'", "TokenizeChat", () => train.Fit(Rows));
        Names("'LossMask'", "MaskResponse", () => tokenize.Append(train).Fit(Rows));
        Names("'LossMask'", "MaskResponse", () => tokenize.Append(Gemma.PackCanvas(TinyChat.Checkpoint)).Append(train).Fit(Rows));
        Names("'CanvasCount'", "PackCanvas", () => tokenize.Append(mask).Append(train).Fit(Rows));
        Names("'AssistantMask'", "TokenizeChat", () => mask.Append(train).Fit(Rows));
    }

    [Fact]
    public void Scoring_and_packed_rows_do_so_too()
    {
        DiffusionGemmaAnswerEstimator answer = Gemma.Answer(TinyChat.Checkpoint);
        IEstimator<ITransformer> tokenize = Gemma.TokenizeChat(TinyChat.Checkpoint);
        Names("'InputIds'", "TokenizeChat", () => answer.Fit(Rows));
        Names("'PromptLength'", "MaskResponse", () => tokenize.Append(answer).Fit(Rows));
        Names("'InputIds'", "TokenizeChat", () => Gemma.PackedRows(Rows));
        Names("'LossMask'", "MaskResponse", () => Gemma.PackedRows(tokenize.Fit(Rows).Transform(Rows)));
    }

    [Fact]
    public void Tokenizing_names_the_loaders()
    {
        IDataView other = _ml.Data.LoadFromEnumerable(new[] { new Question { Text = "2+2?" } });
        Names("'Messages'; the data has 'Text'", "LoadChatFrom", () => Gemma.TokenizeChat(TinyChat.Checkpoint).Fit(other).Transform(other));
    }

    private static void Names(string column, string step, Action action)
    {
        string message = Assert.Throws<ArgumentOutOfRangeException>(action).Message;
        Assert.Contains($"There is no column {column}", message);
        Assert.Contains($"{step}", message);
    }

    private sealed class Question
    {
        public string Text { get; set; } = "";
    }
}
