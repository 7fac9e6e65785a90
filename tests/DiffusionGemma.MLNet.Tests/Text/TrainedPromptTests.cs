using System.Text.Json.Nodes;
using DiffusionGemma.FineTuning;
using Microsoft.ML;
using Microsoft.ML.Data;
using Microsoft.ML.Runtime;

namespace DiffusionGemma.Text;

/// <summary>Findings about template and tokenizer, and the options that settle them, through the steps of a pipeline.</summary>
public sealed class TrainedPromptTests
{
    private const string Thinks =
        "{% for m in messages %}<|turn>{{ 'model' if m.role == 'assistant' else m.role }}\n{% if m.role == 'assistant' %}"
        + "{% generation %}{{ m.content }}<turn|>\n{% endgeneration %}{% else %}{{ m.content }}<turn|>\n{% endif %}{% endfor %}"
        + "{% if add_generation_prompt %}<|turn>model\n<|channel>thought\n<channel|>{% endif %}";

    private const string Row = """[{"role":"user","content":"2+2?"},{"role":"assistant","content":"4"}]""";
    private const string Differs = "but the model is asked with '<|turn>model\\n<|channel>thought\\n<channel|>'";

    private readonly MLContext _ml = new(seed: 1);
    private readonly List<string> _warnings = [];

    public TrainedPromptTests() => _ml.Log += (_, line) =>
    {
        if (line.Kind == ChannelMessageKind.Warning) _warnings.Add(line.RawMessage);
    };

    private DiffusionGemmaCatalog Gemma => _ml.Transforms.DiffusionGemma;

    [Fact]
    public void Another_prompt_in_training_than_in_answering_is_said_once_by_Fit_Summarize_and_Preview()
    {
        using TemporaryFolder folder = TinyChat.WithTemplate(Thinks);
        IDataView data = _ml.Data.LoadChatFromEnumerable([Row, Row, """[{"role":"user","content":"2+2?"}]"""]);
        using var model = Pipeline(folder.Path, new()).Append(Gemma.FineTune(folder.Path, TinyChat.Lora, TinyChat.Quick)).Fit(data);
        string notice = Assert.Single(model.LastTransformer.Summary!.TemplateNotices);
        Assert.Contains(Differs, notice);
        Assert.Single(_warnings, $"{notice} (2 rows)");

        ChatDataSummary summary = Gemma.Summarize(folder.Path, data);
        Assert.Equal([notice], summary.TemplateNotices);
        Assert.Contains($"\n{notice} (2 rows)", summary.ToString());
        Assert.Contains($"! template: {notice}", Gemma.Preview(folder.Path, Row).ToString());
    }

    [Fact]
    public void By_option_the_asked_prompt_is_trained_on_and_saved_with_the_pipeline()
    {
        using TemporaryFolder folder = TinyChat.WithTemplate(Thinks);
        var options = new ChatTokenizingEstimator.Options { TrainOnGenerationPrompt = true };
        IDataView data = _ml.Data.LoadChatFromEnumerable([Row]);
        ITransformer pipeline = Pipeline(folder.Path, options).Fit(data);
        int[] asked = Gemma.TokenizeChat(folder.Path).Fit(data).Transform(
            _ml.Data.LoadChatFromEnumerable(["""[{"role":"user","content":"2+2?"}]"""])).GetColumn<int[]>("InputIds").Single();
        foreach (ITransformer step in new[] { pipeline, EstimatorAssert.SaveAndLoad(_ml, pipeline, data.Schema) })
        {
            IDataView packed = step.Transform(data);
            int prompt = packed.GetColumn<int>("PromptLength").Single();
            Assert.Equal(asked, packed.GetColumn<int[]>("InputIds").Single()[..prompt]);
            Assert.Empty(packed.GetColumn<string[]>("RowNotes").Single());
        }
        Assert.Empty(Gemma.Summarize(folder.Path, data, options, new()).TemplateNotices);
        Assert.Equal(asked.Length, Gemma.Preview(folder.Path, Row, options, new()).PromptLength);
        Assert.NotEqual(asked.Length, Gemma.Preview(folder.Path, Row).PromptLength);
    }

    [Fact]
    public void Reasoning_is_trained_on_unless_the_option_says_otherwise()
    {
        const string Thought =
            """[{"role":"user","content":"2+2?"},{"role":"assistant","content":"<|channel>thought\nadd<channel|>4"}]""";
        IDataView data = _ml.Data.LoadChatFromEnumerable([Thought]);
        bool[] Mask(ChatTokenizingEstimator.Options options, bool saved)
        {
            ITransformer step = Gemma.TokenizeChat(TinyChat.Checkpoint, options).Fit(data);
            if (saved) step = EstimatorAssert.SaveAndLoad(_ml, step, data.Schema);
            return step.Transform(data).GetColumn<bool[]>("AssistantMask").Single();
        }
        bool[] trained = Mask(new(), saved: false), ignored = Mask(new() { Reasoning = ReasoningTraining.Ignore }, saved: false);
        Assert.True(ignored.Count(on => on) < trained.Count(on => on));
        Assert.True(ignored[^1]);                                                               // the answer and its end stay
        Assert.Equal(trained, Mask(new() { Reasoning = ReasoningTraining.Train }, saved: true));
        Assert.Equal(ignored, Mask(new() { Reasoning = ReasoningTraining.Ignore }, saved: true));
        Assert.Throws<ArgumentOutOfRangeException>(
            () => Gemma.TokenizeChat(TinyChat.Checkpoint, new ChatTokenizingEstimator.Options { Reasoning = (ReasoningTraining)7 }));
    }

    [Fact]
    public void A_template_whose_blocks_hold_no_answer_is_named_where_nothing_is_left_to_train_on()
    {
        using TemporaryFolder folder = TinyChat.WithTemplate(
            "{% for m in messages %}<|turn>{{ m.role }}\n{{ m.content }}{% generation %}{% endgeneration %}<turn|>\n{% endfor %}");
        IDataView data = _ml.Data.LoadChatFromEnumerable([Row]);
        Assert.Contains(
            "{% generation %} blocks do not hold the answer",
            Assert.Throws<TrainingException>(() => Gemma.PackedRows(Pipeline(folder.Path, new()).Fit(data).Transform(data))).Message);
        Assert.Single(Gemma.Summarize(folder.Path, data).TemplateNotices);
    }

    [Fact]
    public void Settings_of_the_tokenizer_that_have_no_effect_are_said_when_the_step_is_made()
    {
        using TemporaryFolder folder = TinyChat.WithTemplate(Thinks);
        var tokenizer = (JsonObject)JsonNode.Parse(File.ReadAllText(folder.File("tokenizer.json")))!;
        tokenizer["truncation"] = JsonNode.Parse("""{"direction":"Right","max_length":64,"strategy":"LongestFirst","stride":0}""");
        File.WriteAllText(folder.File("tokenizer.json"), tokenizer.ToJsonString());
        Gemma.TokenizeChat(folder.Path);
        Assert.Contains("truncation", Assert.Single(_warnings));
    }

    /// <summary>The end of a cut row is not learned: it is left out, or trained on without it.</summary>
    [Theory]
    [InlineData(TruncatedRows.Keep, 3, 0, 1)]
    [InlineData(TruncatedRows.Drop, 2, 1, 0)]
    public void Cut_rows_are_counted_by_their_treatment(TruncatedRows truncated, int trained, int dropped, int cut)
    {
        IDataView data = _ml.Data.LoadChatFromEnumerable([Row, Row, Row.Replace("\"4\"", $"\"{new string('4', 300)}\"")]);
        var packing = new CanvasPackingEstimator.Options { MaxLength = 100, Truncated = truncated };
        using var model = Gemma.TokenizeChat(TinyChat.Checkpoint).Append(Gemma.MaskResponse())
            .Append(Gemma.PackCanvas(TinyChat.Checkpoint, packing)).Append(Gemma.FineTune(TinyChat.Checkpoint, TinyChat.Lora with
            {
                MaxSteps = 1,
            })).Fit(data);
        FineTuneSummary summary = model.LastTransformer.Summary!;
        Assert.Equal((trained, dropped, cut), (summary.TrainedRows, summary.DroppedRows, summary.CutRows));
        Assert.Contains(_warnings, line => line.StartsWith("1 row ", StringComparison.Ordinal) && line.Contains("maximum length"));
        ChatDataSummary dry = Gemma.Summarize(TinyChat.Checkpoint, data, new(), packing);
        Assert.Equal((trained, dropped, cut, 0), (dry.TrainedRows, dry.DroppedRows, dry.CutRows, dry.LostRows));
    }

    private IEstimator<ITransformer> Pipeline(string checkpoint, ChatTokenizingEstimator.Options options) =>
        Gemma.TokenizeChat(checkpoint, options).Append(Gemma.MaskResponse()).Append(Gemma.PackCanvas(checkpoint));
}
