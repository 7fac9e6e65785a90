using System.Text.Json;
using DiffusionGemma.FineTuning;
using DiffusionGemma.Packing;
using Microsoft.ML;
using Microsoft.ML.Data;

namespace DiffusionGemma.Text;

public sealed class ChatTokenizingTests
{
    private readonly MLContext _ml = new(seed: 1);

    [Fact]
    public void The_reference_s_conversations_come_out_of_the_pipeline_as_the_reference_has_them()
    {
        JsonElement[] rows = PackedFixture.Rows;
        IDataView data = _ml.Data.LoadChatFromEnumerable(rows.Select(row => row.GetProperty("messages").GetRawText()));
        DiffusionGemmaCatalog gemma = _ml.Transforms.DiffusionGemma;
        IDataView view = gemma.TokenizeChat(TinyChat.Checkpoint)
            .Append(gemma.MaskResponse(outputColumnName: "ResponseMask"))
            .Append(_ml.Transforms.CopyColumns("AllIds", "InputIds"))
            .Append(_ml.Transforms.CopyColumns("LossMask", "ResponseMask"))
            .Append(gemma.PackCanvas(TinyChat.Checkpoint, PackedFixture.MaxLength, PackedFixture.PadMultiple))
            .Fit(data).Transform(data);
        int[][] all = [.. view.GetColumn<int[]>("AllIds")], packed = [.. view.GetColumn<int[]>("InputIds")];
        bool[][] response = [.. view.GetColumn<bool[]>("ResponseMask")], lossMask = [.. view.GetColumn<bool[]>("LossMask")];
        int[] promptLength = [.. view.GetColumn<int>("PromptLength")], canvases = [.. view.GetColumn<int>("CanvasCount")];
        int[] padded = [.. view.GetColumn<int>("PaddedLength")], cut = [.. view.GetColumn<int>("CutTokens")];
        Assert.Equal(77, all.Length);
        int dropped = 0, unanswered = 0, empty = 0;
        for (int i = 0; i < rows.Length; i++)
        {
            Assert.Equal(rows[i].Ints("prompt_ids"), all[i][..promptLength[i]]);
            if (ChatConversation.Parse(rows[i].GetProperty("messages").GetRawText()).HasBlankAnswer)
            {
                // The reference trains on these; here they wait for an answer.
                Assert.Equal((0, all[i].Length), (canvases[i], promptLength[i]));
                empty++;
                continue;
            }
            if (rows[i].TryGetProperty("packed", out JsonElement expected))
            {
                // The reference cuts a row before it shows it.
                Assert.Equal(rows[i].Ints("input_ids"), all[i].Take(PackedFixture.MaxLength));
                Assert.Equal(rows[i].Bools("loss_mask"), response[i].Take(PackedFixture.MaxLength));
                Assert.Equal(Math.Max(0, all[i].Length - PackedFixture.MaxLength), cut[i]);
                CanvasPackingTests.AssertPacked(expected, packed[i], lossMask[i], padded[i]);
                Assert.True(canvases[i] > 0);
                continue;
            }
            Assert.Equal(all[i], packed[i]);
            Assert.DoesNotContain(true, lossMask[i]);
            Assert.Equal((0, 0), (canvases[i], padded[i]));
            bool isUnanswered = rows[i].TryGetProperty("unanswered", out _);
            Assert.Equal(isUnanswered, cut[i] == 0);
            Assert.Equal(isUnanswered, promptLength[i] == all[i].Length);
            unanswered += isUnanswered ? 1 : 0;
            dropped += isUnanswered ? 0 : 1;
        }
        Assert.Equal((3, 2), (dropped, unanswered));
    }

    [Fact]
    public void It_is_an_estimator_as_others() =>
        EstimatorAssert.Holds(_ml, _ml.Transforms.DiffusionGemma.TokenizeChat(TinyChat.Checkpoint), TinyChat.Questions(_ml, 5), "Messages");

    [Fact]
    public void A_loaded_tokenizer_needs_no_folder()
    {
        using TemporaryFolder folder = Fixtures.Temporary();
        CopyText(folder);
        Directory.CreateDirectory(folder.File("additional_chat_templates"));
        File.WriteAllText(folder.File("additional_chat_templates/tool_use.jinja"), "With tools: {{ messages[0].content }}");
        IDataView data = _ml.Data.LoadChatFromEnumerable([TinyChat.Row("x"),
            """{"messages":[{"role":"user","content":"x"}],"tools":[{}]}"""]);
        ITransformer transformer = _ml.Transforms.DiffusionGemma.TokenizeChat(folder.Path,
            new ChatTokenizingEstimator.Options { OutputColumnName = "Ids", MaskColumnName = "Mask" }).Fit(data);
        string[] rows = Views.Dump(transformer.Transform(data));
        int[] expected = [.. DiffusionGemmaTokenizer.Load(folder.Path).EncodeToIds("With tools: x")];
        Assert.Equal(expected, transformer.Transform(data).GetColumn<int[]>("Ids").Last());
        using var stream = new MemoryStream();
        _ml.Model.Save(transformer, data.Schema, stream);
        foreach (string file in Directory.EnumerateFiles(folder.Path, "*", SearchOption.AllDirectories))
            File.Delete(file);
        stream.Position = 0;
        Assert.Equal(rows, Views.Dump(_ml.Model.Load(stream, out _).Transform(data)));
    }

    [Fact]
    public void What_the_template_refuses_is_an_error_of_its_row_in_the_template_s_words()
    {
        using TemporaryFolder folder = Fixtures.Temporary();
        CopyText(folder);
        File.AppendAllText(folder.File("chat_template.jinja"),
            "{%- for message in messages if message.role == 'moderator' %}{{ raise_exception('Nobody moderates here.') }}{% endfor -%}");
        IDataView data = _ml.Data.LoadChatFromEnumerable([TinyChat.Row("x"), """[{"role":"moderator","content":"x"}]""",
            TinyChat.Row("y")]);
        IDataView tokens = _ml.Transforms.DiffusionGemma.TokenizeChat(folder.Path).Fit(data).Transform(data);
        // ML.NET tokenizes on several threads, and wraps what goes wrong there.
        Exception thrown = Assert.ThrowsAny<Exception>(() => tokens.GetColumn<int[]>("InputIds").ToArray());
        while (thrown is not ChatDataException)
            thrown = thrown.InnerException!;
        var error = (ChatDataException)thrown;
        Assert.Equal(1, error.Row);
        Assert.Contains("Nobody moderates here.", error.Message);
        Assert.Equal("Nobody moderates here.", Assert.IsType<ChatException>(error.InnerException).TemplateWords);
    }

    [Fact]
    public void A_folder_without_a_tokenizer_is_refused_at_once() =>
        Assert.Contains("tokenizer.json", Assert.Throws<FileNotFoundException>(() =>
            _ml.Transforms.DiffusionGemma.TokenizeChat(Fixtures.Checkpoint("tiny-2layer"))).Message);

    [Fact]
    public void A_prediction_engine_tokenizes_one_row_at_a_time()
    {
        IDataView data = TinyChat.Questions(_ml, 4);
        ITransformer transformer = _ml.Transforms.DiffusionGemma.TokenizeChat(TinyChat.Checkpoint).Fit(data);
        int[][] expected = [.. transformer.Transform(data).GetColumn<int[]>("InputIds")];
        using var engine = _ml.Model.CreatePredictionEngine<Chat, Tokens>(transformer);
        Assert.Equal(expected, data.GetColumn<string>("Messages")
            .Select(messages => engine.Predict(new Chat { Messages = messages }).InputIds));
    }

    private static void CopyText(TemporaryFolder folder)
    {
        foreach (string name in new[] { "tokenizer.json", "tokenizer_config.json", "chat_template.jinja" })
            File.Copy(Path.Combine(TinyChat.Checkpoint, name), folder.File(name));
    }

    private sealed class Chat
    {
        public string Messages { get; set; } = "";
    }

    private sealed class Tokens
    {
        public int[] InputIds { get; set; } = [];
    }
}
