using System.IO.Compression;
using System.Text;
using Microsoft.ML;
using Microsoft.ML.Data;

namespace DiffusionGemma.Text;

/// <summary>Chat templates of one's own, in place of the checkpoint's.</summary>
public class OwnTemplateTests
{
    private const string Row = """[{"role":"user","content":"2+2?"},{"role":"assistant","content":"4"}]""";
    private const string Question = """[{"role":"user","content":"2+2?"}]""";

    private static readonly string Checkpoint = Fixtures.Checkpoint("tiny-chat");
    private static readonly ChatTokenizer Own = ChatTokenizer.Load(Checkpoint);

    private readonly MLContext _ml = new(seed: 1);

    /// <summary>The checkpoint's template with another head of the assistant's turn.</summary>
    private static string Template => ChatTemplate.Load(Checkpoint).Source
        .Replace("'<|turn>model", "'<|turn>robot", StringComparison.Ordinal)
        .Replace("'<|turn>' + role", "'<|turn>' + ('robot' if role == 'model' else role)", StringComparison.Ordinal);

    [Fact]
    public void Rows_are_written_with_the_template_of_the_caller_and_the_saved_model_keeps_its_text()
    {
        using TemporaryFolder folder = Fixtures.Temporary();
        string file = folder.File("own.jinja"), zip = folder.File("model.zip");
        File.WriteAllText(file, Template);
        IDataView rows = _ml.Data.LoadChatFromEnumerable([Row]);
        var pipeline = _ml.Transforms.DiffusionGemma.TokenizeChat(Checkpoint, chatTemplate: file);
        ITransformer model = pipeline.Fit(rows);
        string written = Text(model, rows);
        Assert.Equal("<bos><|turn>user\n2+2?<turn|>\n<|turn>robot\n4<turn|>\n", written);
        Assert.NotEqual(Text(_ml.Transforms.DiffusionGemma.TokenizeChat(Checkpoint).Fit(rows), rows), written);

        _ml.Model.Save(model, rows.Schema, zip);
        File.Delete(file);
        Assert.Equal(written, Text(_ml.Model.Load(zip, out _), rows));
    }

    [Fact]
    public void What_is_fitted_on_rows_keeps_the_template_that_they_were_written_with()
    {
        using TemporaryFolder folder = Fixtures.Temporary();
        string file = folder.File("own.jinja");
        File.WriteAllText(file, Template);
        DiffusionGemmaCatalog gemma = _ml.Transforms.DiffusionGemma;
        IDataView rows = _ml.Data.LoadChatFromEnumerable([Question]);
        var tokenized = gemma.TokenizeChat(Checkpoint, chatTemplate: file).Append(gemma.MaskResponse()).AppendCacheCheckpoint(_ml);
        using var inherited = tokenized.Append(gemma.Answer(Checkpoint)).Fit(rows);
        Assert.Equal([Template, Template], TemplatesIn(inherited, rows, folder.File("inherited.zip")));

        // Without a template on the way, the options name one; and they go before the rows' own.
        var plain = gemma.TokenizeChat(Checkpoint).Append(gemma.MaskResponse());
        using var named = plain.Append(gemma.Answer(Checkpoint, new AnswerOptions { ChatTemplate = file })).Fit(rows);
        Assert.Equal([Own.Template.Source, Template], TemplatesIn(named, rows, folder.File("named.zip")));
        using var neither = plain.Append(gemma.Answer(Checkpoint)).Fit(rows);
        Assert.Equal([Own.Template.Source, Own.Template.Source], TemplatesIn(neither, rows, folder.File("neither.zip")));
    }

    [Fact]
    public void A_trained_model_keeps_the_template_of_its_rows()
    {
        using TemporaryFolder folder = Fixtures.Temporary();
        string file = folder.File("own.jinja");
        File.WriteAllText(file, Template);
        DiffusionGemmaCatalog gemma = _ml.Transforms.DiffusionGemma;
        IDataView rows = _ml.Data.LoadChatFromEnumerable([Row]);
        using var model = gemma.TokenizeChat(Checkpoint, chatTemplate: file).Append(gemma.MaskResponse())
            .Append(gemma.PackCanvas(Checkpoint, maxLength: 64))
            .Append(gemma.FineTune(Checkpoint, new FineTuneOptions
            {
                Lora = new LoraOptions { Rank = 2 },
                MaxSteps = 1,
                GlobalBatchSize = 1,
                WarmupSteps = 0,
                Run = new RunOptions { DryRun = false },
            })).Fit(rows);
        Assert.Equal([Template, Template], TemplatesIn(model, rows, folder.File("model.zip")));
    }

    [Fact]
    public void A_preview_a_summary_and_a_loader_use_it_too()
    {
        using TemporaryFolder folder = Fixtures.Temporary();
        string refusing = folder.File("refusing.jinja"), file = folder.File("own.jinja");
        File.WriteAllText(refusing, "{{ raise_exception('no') }}");
        File.WriteAllText(file, Template);
        DiffusionGemmaCatalog gemma = _ml.Transforms.DiffusionGemma;
        IDataView rows = _ml.Data.LoadChatFromEnumerable([Row]);
        Assert.Contains("robot", gemma.Preview(Checkpoint, Row, chatTemplate: file).ToString());
        Assert.Equal(1, gemma.Summarize(Checkpoint, rows, chatTemplate: file).TrainedRows);
        Assert.Throws<ChatException>(() => gemma.Preview(Checkpoint, Row, chatTemplate: refusing));
        Assert.Throws<ChatDataException>(() => gemma.Summarize(Checkpoint, rows, chatTemplate: refusing));
        IDataView checkedRows = _ml.Data.LoadChatFromEnumerable(
            new ChatDataOptions { Checkpoint = Checkpoint, ChatTemplate = refusing }, [Row]);
        Assert.Throws<ChatDataException>(() => checkedRows.GetColumn<string>(ChatColumns.Messages).ToArray());
    }

    [Fact]
    public void A_template_that_is_not_there_or_is_none_is_an_error_that_names_it()
    {
        using TemporaryFolder folder = Fixtures.Temporary();
        string missing = folder.File("missing.jinja"), broken = folder.File("broken.jinja");
        File.WriteAllText(broken, "{% for %}");
        DiffusionGemmaCatalog gemma = _ml.Transforms.DiffusionGemma;
        Assert.Contains(missing, Assert.Throws<FileNotFoundException>(() => gemma.TokenizeChat(Checkpoint, chatTemplate: missing)).Message);
        Assert.Contains(missing, Assert.Throws<FileNotFoundException>(
            () => gemma.Answer(Checkpoint, new AnswerOptions { ChatTemplate = missing })).Message);
        Assert.Contains(broken, Assert.Throws<ChatException>(() => gemma.TokenizeChat(Checkpoint, chatTemplate: broken)).Message);
        Assert.Contains("Checkpoint", Assert.Throws<ArgumentException>(
            () => _ml.Data.LoadChatFromEnumerable(new ChatDataOptions { ChatTemplate = broken }, [Row])).Message);
    }

    [Fact]
    public void A_template_by_which_answers_cannot_be_told_from_prompts_is_named_once_and_a_marked_copy_is_the_way_out()
    {
        using TemporaryFolder folder = Fixtures.Temporary();
        string unmarked = folder.File("unmarked.jinja"), marked = folder.File("marked.jinja");
        const string Body = "{% for m in messages %}{{ m.role }}:OPENm.contentCLOSE<turn|>{% endfor %}"
            + "{{ 'robot:' if add_generation_prompt }}";
        File.WriteAllText(unmarked, Body.Replace("OPEN", "{{ ").Replace("CLOSE", " }}"));
        File.WriteAllText(marked, Body.Replace("OPEN", "{% if m.role == 'assistant' %}{% generation %}{{ ")
            .Replace("CLOSE<turn|>", " }}<turn|>{% endgeneration %}{% else %}{{ m.content }}<turn|>{% endif %}"));
        List<string> warnings = [];
        _ml.Log += (_, line) =>
        {
            if (line.Kind == Microsoft.ML.Runtime.ChannelMessageKind.Warning) warnings.Add(line.RawMessage);
        };
        IDataView rows = _ml.Data.LoadChatFromEnumerable([Row, Row]);
        IDataView refused = _ml.Transforms.DiffusionGemma.TokenizeChat(Checkpoint, chatTemplate: unmarked).Fit(rows).Transform(rows);
        Assert.Contains("given as chatTemplate, is the way out", Assert.Single(warnings));
        Assert.ThrowsAny<Exception>(() => refused.GetColumn<int[]>(ChatColumns.InputIds).ToArray());

        warnings.Clear();
        IDataView read = _ml.Transforms.DiffusionGemma.TokenizeChat(Checkpoint, chatTemplate: marked).Fit(rows).Transform(rows);
        Assert.Equal(2, read.GetColumn<bool[]>(ChatColumns.AssistantMask).Count(mask => mask.Contains(true)));
        Assert.Empty(warnings);
    }

    private static string Text(ITransformer model, IDataView rows) =>
        Own.Tokenizer.Decode(model.Transform(rows).GetColumn<int[]>(ChatColumns.InputIds).Single());

    /// <summary>The templates in a saved model, in the order of its parts.</summary>
    private IEnumerable<string> TemplatesIn(ITransformer model, IDataView rows, string zip)
    {
        _ml.Model.Save(model, rows.Schema, zip);
        using ZipArchive archive = ZipFile.OpenRead(zip);
        List<string> found = [];
        foreach (ZipArchiveEntry entry in archive.Entries.Where(entry => entry.FullName.EndsWith("chat_template.jinja"))
            .OrderBy(entry => entry.FullName, StringComparer.Ordinal))
        {
            using var reader = new StreamReader(entry.Open(), Encoding.UTF8);
            found.Add(reader.ReadToEnd());
        }
        return found;
    }
}
