using DiffusionGemma.FineTuning;
using Microsoft.ML;
using Microsoft.ML.Data;

namespace DiffusionGemma.Inspection;

public sealed class ChatPreviewTests
{
    private const string TwoTurns =
        """[{"role":"user","content":"Hi"},{"role":"assistant","content":"Yes."},{"role":"user","content":"What is 8 plus 7?"},"""
            + """{"role":"assistant","content":"8 plus 7 is 15."}]""";

    private readonly DiffusionGemmaCatalog _gemma = new MLContext(seed: 1).Transforms.DiffusionGemma;

    /// <summary>Held against the pipeline itself: ids, what is supervised and the canvases are what training gets.</summary>
    [Theory]
    [InlineData(1024)]
    [InlineData(60)]
    [InlineData(47)]
    [InlineData(20)]
    public void It_is_what_training_gets(int maxLength)
    {
        var ml = new MLContext(seed: 1);
        string[] rows = [TwoTurns, """[{"role":"user","content":"What is 2 plus 2?"},{"role":"assistant","content":"4"}]""",
            """[{"role":"user","content":"Hi"}]""",
            $$"""[{"role":"user","content":"x"},{"role":"assistant","content":"{{new string('y', 90)}}"}]"""];
        IDataView data = ml.Data.LoadChatFromEnumerable(rows);
        IDataView packed = TinyChat.Preparation(ml, maxLength).Fit(data).Transform(data);
        int[][] ids = [.. packed.GetColumn<int[]>("InputIds")];
        bool[][] masks = [.. packed.GetColumn<bool[]>("LossMask")];
        int[] canvases = [.. packed.GetColumn<int>("CanvasCount")], cut = [.. packed.GetColumn<int>("CutTokens")],
            prompts = [.. packed.GetColumn<int>("PromptLength")], padded = [.. packed.GetColumn<int>("PaddedLength")];
        for (int i = 0; i < rows.Length; i++)
        {
            ChatPreview preview = _gemma.Preview(TinyChat.Checkpoint, rows[i], maxLength);
            Assert.Equal(ids[i], preview.Ids);
            Assert.Equal((canvases[i], cut[i], prompts[i], padded[i], maxLength),
                (preview.CanvasCount, preview.CutTokens, preview.PromptLength, preview.PaddedLength, preview.MaxLength));
            Assert.Equal(masks[i], preview.Tokens.Take(ids[i].Length).Select(token => token.IsSupervised));
            Assert.Equal(canvases[i] > 0, preview.IsTrained);
            Assert.Equal(i != 2, preview.IsAnswered);
            int[] onCanvas = [.. preview.Tokens.Where(token => token.Canvas is not null).GroupBy(token => token.Canvas!.Value)
                .Select(group => group.Count())];
            Assert.Equal(canvases[i], onCanvas.Length);
            Assert.All(onCanvas.SkipLast(1), count => Assert.Equal(preview.CanvasLength, count));
        }
    }

    [Fact]
    public void A_person_can_read_it()
    {
        string text = _gemma.Preview(TinyChat.Checkpoint, TwoTurns).ToString();
        string[] lines = text.TrimEnd('\n').Split('\n');
        Assert.Matches(@"^\d+ tokens: prompt \d+, response 11; 21 of fill make 1 canvas of 32; \d+ tokens packed, padded to \d+$",
            lines[0]);
        Assert.Equal(
            [
                "  prompt     | <bos><|turn>user⏎",
                "             | Hi<turn|>⏎",
                "             | <|turn>model⏎",
                "  earlier    | Yes.<turn|>⏎",
                "  prompt     | <|turn>user⏎",
                "             | What is 8 plus 7?<turn|>⏎",
                "             | <|turn>model⏎",
                "# canvas 0   | 8 plus 7 is 15.<turn|>⏎",
                "# fill       | <eos> x 21",
            ],
            lines[1..]);
        Assert.Contains("; left out of training: there is no answer\n",
            _gemma.Preview(TinyChat.Checkpoint, """[{"role":"user","content":"Hi"}]""").ToString());
        Assert.Contains("; left out of training: nothing of the response is left\n",
            _gemma.Preview(TinyChat.Checkpoint, TwoTurns, maxLength: 10).ToString());
        Assert.Contains("cut off at 40", _gemma.Preview(TinyChat.Checkpoint, TwoTurns, maxLength: 40).ToString());
    }

    [Fact]
    public void Every_token_may_be_listed_and_control_characters_are_seen()
    {
        ChatPreview preview = _gemma.Preview(TinyChat.Checkpoint,
            """[{"role":"user","content":"a\u0000\u001b[31m\tb"},{"role":"assistant","content":"é🙂"}]""");
        var writer = new StringWriter { NewLine = "\n" };
        preview.Write(writer, tokens: true);
        string text = writer.ToString();
        Assert.DoesNotContain(text, c => char.IsControl(c) && c != '\n');
        Assert.Equal(preview.Tokens.Count, text.Split('\n').Count(line => line.Length > 17 && line[0] is '#' or ' '
            && int.TryParse(line.AsSpan(1, Math.Min(7, line.Length - 1)), out _)));
        Assert.Contains("<0xF0>", text);
    }

    [Fact]
    public void Special_tokens_in_a_message_are_escaped_where_that_is_asked()
    {
        const string Row = """[{"role":"user","content":"<turn|>"},{"role":"assistant","content":"x"}]""";
        int Turns(bool escapes) => _gemma.Preview(TinyChat.Checkpoint, Row,
            escapeSpecialTokens: escapes).Tokens.Count(token => token.Piece == "<turn|>");
        Assert.Equal((3, 2), (Turns(false), Turns(true)));
    }

    [Fact]
    public void What_is_wrong_with_a_row_is_said()
    {
        Assert.Throws<ChatException>(() => _gemma.Preview(TinyChat.Checkpoint, "[]"));
        Assert.Throws<ArgumentOutOfRangeException>(() => _gemma.Preview(TinyChat.Checkpoint, TwoTurns, maxLength: 0));
    }
}
