using DiffusionGemma.FineTuning;
using Microsoft.ML;
using Microsoft.ML.Data;
using Microsoft.ML.Runtime;

namespace DiffusionGemma.Text;

/// <summary>Notes on what training would miss in a row: made, counted and reported.</summary>
public sealed class RowNotesTests
{
    private readonly MLContext _ml = new(seed: 1);

    private DiffusionGemmaCatalog Gemma => _ml.Transforms.DiffusionGemma;

    [Theory]
    [InlineData("""[{"role":"user","content":"a"},{"role":"assistant","content":"b"}]""")]
    [InlineData("""[{"role":"user","content":"a","name":"Tom"},{"role":"assistant","content":"b"}]""", "ignored key: name")]
    [InlineData("""[{"role":"user","content":"a"},{"role":"assistant","content":"b","reasoning_content":"r","weight":0}]""",
        "ignored key: reasoning_content", "ignored key: weight")]
    [InlineData("""{"messages":[{"role":"user","content":"a"},{"role":"assistant","content":"b","thinking":"t"}],"source":"web"}""",
        "ignored key: thinking", "ignored key: source")]
    [InlineData("""{"messages":[{"role":"user","content":"a"},{"role":"assistant","content":"b","tool_calls":[]}],"tools":null,"x":""}""")]
    [InlineData("""[{"role":"user","content":"a"},{"role":"assistant","content":""}]""", "empty answer")]
    [InlineData("""[{"role":"user","content":"a"},{"role":"assistant","content":" \n"}]""", "empty answer")]
    [InlineData("""[{"role":"user","content":"a <turn|> b"},{"role":"assistant","content":"b"}]""", "special token")]
    [InlineData("""[{"role":"user","content":"a"},{"role":"bot","content":"b"}]""", "unknown last role: bot")]
    [InlineData("""[{"role":"user","content":"a"},{"role":"model","content":"b"}]""")]
    [InlineData("""[{"role":"user","content":"a"},{"role":"tool","content":"b"}]""")]
    public void Notes_name_what_is_missed(string row, params string[] notes) => Assert.Equal(notes, Notes(row));

    [Fact]
    public void A_key_that_the_template_writes_is_not_noted()
    {
        using TemporaryFolder folder = WithTemplate(
            "{% for m in messages %}{{ m.name or '' }}: {% generation %}{{ m.content }}{{ m.thinking or m.reasoning or '' }}"
            + "{% endgeneration %}{% endfor %}{% if add_generation_prompt %}: {% endif %}{{ flag }}");
        const string Row =
            """{"messages":[{"role":"assistant","content":"x","name":"Tom","thinking":"t","reasoning":"t","weight":1}],"flag":true}""";
        // Two keys of one meaning: without the first the second is written.
        Assert.Equal(["ignored key: thinking", "ignored key: weight"], Notes(Row, folder.Path));
    }

    [Fact]
    public void An_end_of_turn_outside_the_answer_is_noted()
    {
        using TemporaryFolder folder = WithTemplate(
            "{% for m in messages %}<|turn>{{ m.role }}\n{% generation %}{{ m.content }}{% endgeneration %}<turn|>\n{% endfor %}"
            + "{% if add_generation_prompt %}<|turn>assistant\n{% endif %}");
        const string Row = """[{"role":"user","content":"a"},{"role":"assistant","content":"b"}]""";
        Assert.Equal(["end of turn not learned"], Notes(Row, folder.Path));
        ChatDataSummary summary = Gemma.Summarize(folder.Path, _ml.Data.LoadChatFromEnumerable([Row, TinyChat.Row("q")]));
        Assert.Equal(1, summary.UnlearnedEndRows);
        Assert.Contains("the model will not learn to end its turn: in 1 row ", summary.ToString());
        Assert.Contains("! end of turn not learned", Gemma.Preview(folder.Path, Row).ToString());
    }

    [Fact]
    public void Rows_whose_answers_have_another_role_are_counted_by_it()
    {
        const string Row = """[{"role":"user","content":"a"},{"role":"bot","content":"b"}]""";
        ChatDataSummary summary = Gemma.Summarize(TinyChat.Checkpoint, _ml.Data.LoadChatFromEnumerable([Row, TinyChat.Row("q"), Row]));

        Assert.Equal(3, summary.UnansweredRows);
        Assert.Equal(
            "rows that end with these roles count as having no answer, because answers are of the role 'assistant': 'bot' of 2 rows",
            Assert.Single(summary.Warnings));
        Assert.EndsWith(summary.Warnings[0], summary.ToString());
    }

    [Fact]
    public void Escaped_special_tokens_are_not_noted()
    {
        IDataView data =
            _ml.Data.LoadChatFromEnumerable(["""[{"role":"user","content":"a <turn|> b"},{"role":"assistant","content":"b"}]"""]);
        Assert.Empty(Gemma.TokenizeChat(TinyChat.Checkpoint, escapeSpecialTokens: true).Fit(data).Transform(data)
            .GetColumn<string[]>("RowNotes").Single());
    }

    [Fact]
    public void An_empty_answer_waits_for_one()
    {
        IDataView data = _ml.Data.LoadChatFromEnumerable(
        [
            """[{"role":"user","content":"2+2?"},{"role":"assistant","content":""}]""",
            """[{"role":"user","content":"2+2?"},{"role":"assistant","content":null}]""",
            """[{"role":"user","content":"2+2?"}]""",
            """{"instruction":"2+2?","output":""}""",
        ]);
        IDataView packed = TinyChat.Preparation(_ml).Fit(data).Transform(data);
        string[] rows = Views.Dump(packed, "InputIds", "LossMask", "PromptLength", "CanvasCount");
        Assert.Single(rows.Distinct());
        Assert.Contains("CanvasCount=0", rows[0]);
    }

    [Fact]
    public void Fit_counts_and_says_each_reason_once()
    {
        List<string> warnings = [];
        _ml.Log += (_, message) =>
        {
            if (message.Kind == ChannelMessageKind.Warning) warnings.Add(message.RawMessage);
        };
        IDataView data = _ml.Data.LoadChatFromEnumerable(
        [
            Chat("4", ",\"weight\":1"), Chat("4", ",\"weight\":1,\"name\":\"x\""), Chat("4"), Chat("4 <eos>"), Chat(""), Chat(" "),
                TinyChat.Row("2+2?"),
        ]);
        using TransformerChain<DiffusionGemmaTransformer> model =
            TinyChat.Preparation(_ml).Append(Gemma.FineTune(TinyChat.Checkpoint, TinyChat.Lora, TinyChat.Quick)).Fit(data);
        FineTuneSummary summary = model.LastTransformer.Summary!;
        Assert.Equal((7, 4, 2, 1), (summary.Rows, summary.TrainedRows, summary.EmptyAnswerRows, summary.UnansweredRows));
        Assert.Equal([new("name", 1), new("weight", 2)], summary.IgnoredKeys);
        Assert.Equal(1, summary.SpecialTokenRows);
        Assert.Single(warnings, "2 rows left out: the answer is empty");
        Assert.Single(warnings, warning => warning.EndsWith("'name' of 1 row, 'weight' of 2 rows"));

        ChatDataSummary dry = Gemma.Summarize(TinyChat.Checkpoint, data);
        Assert.Equal((7, 4, 2, 1), (dry.Rows, dry.TrainedRows, dry.EmptyAnswerRows, dry.UnansweredRows));
        Assert.Equal(summary.IgnoredKeys, dry.IgnoredKeys);
        Assert.Equal(1, dry.SpecialTokenRows);
        Assert.Contains("'weight' of 2 rows", dry.ToString());
    }

    [Fact]
    public void Nothing_to_train_on_names_every_reason()
    {
        string message = Assert.Throws<TrainingException>(() => Gemma.PackedRows(Packed(Chat(""), TinyChat.Row("2+2?")))).Message;
        Assert.Contains("None of the 2 rows", message);
        Assert.Contains("1 have an empty one", message);
        Assert.Contains("GetSkippedChatRows", Assert.Throws<TrainingException>(() => Gemma.PackedRows(Packed())).Message);
    }

    [Fact]
    public void Plain_text_is_answered_with_the_form_of_a_conversation()
    {
        IDataView data = _ml.Data.LoadFromEnumerable(new[] { new Row { Messages = "What is 2+2?" } });
        IDataView tokens = Gemma.TokenizeChat(TinyChat.Checkpoint).Fit(data).Transform(data);
        var error = Assert.ThrowsAny<Exception>(() => tokens.GetColumn<int[]>("InputIds").ToArray())
            .GetBaseExceptionOf<ChatDataException>();
        Assert.Contains("""[{"role":"user","content":"2+2?"}]""", error.Message);
        Assert.Contains("ChatRows.ToJson", error.Message);
        Assert.Equal("""[{"role":"user","content":"What is 2+2?"}]""", ChatRows.ToJson("What is 2+2?"));
        Assert.Equal("""[{"role":"system","content":"s"},{"role":"user","content":"q"},{"role":"assistant","content":"a"}]""",
            ChatRows.ToJson("q", "a", "s"));
        Assert.Equal([ChatRows.ToJson("q", "a"), ChatRows.ToJson("r")],
            _ml.Data.LoadChatFromEnumerable([new QuestionAnswer("q", "a"), new QuestionAnswer("r")]).GetColumn<string>("Messages"));
    }

    private IDataView Packed(params string[] rows)
    {
        IDataView data = _ml.Data.LoadChatFromEnumerable(rows);
        return TinyChat.Preparation(_ml).Fit(data).Transform(data);
    }

    private string[] Notes(string row, string? checkpoint = null)
    {
        IDataView data = _ml.Data.LoadChatFromEnumerable([row]);
        return Gemma.TokenizeChat(checkpoint ?? TinyChat.Checkpoint).Fit(data).Transform(data).GetColumn<string[]>("RowNotes").Single();
    }

    private static string Chat(string answer, string more = "") =>
        $$"""[{"role":"user","content":"2+2?"},{"role":"assistant","content":"{{answer}}"{{more}}}]""";

    private static TemporaryFolder WithTemplate(string template) => TinyChat.WithTemplate(template);

    private sealed class Row
    {
        public string Messages { get; set; } = "";
    }
}
