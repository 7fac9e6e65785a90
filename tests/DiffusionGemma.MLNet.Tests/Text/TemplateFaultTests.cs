using DiffusionGemma.FineTuning;
using Microsoft.ML;
using Microsoft.ML.Data;

namespace DiffusionGemma.Text;

/// <summary>A chat template that fails on every conversation is at fault itself; no row is.</summary>
public sealed class TemplateFaultTests : IDisposable
{
    private readonly MLContext _ml = new(seed: 1);
    private readonly TemporaryFolder _folder = Fixtures.Temporary("template");

    public void Dispose() => _folder.Dispose();

    private string Template
    {
        set
        {
            foreach (string file in Directory.EnumerateFiles(TinyChat.Checkpoint))
                File.Copy(file, _folder.File(Path.GetFileName(file)), overwrite: true);
            File.WriteAllText(_folder.File("chat_template.jinja"), value);
        }
    }

    [Fact]
    public void A_template_that_cannot_be_read_is_refused_at_once_by_its_file()
    {
        Template = "{% for message in messages %}";
        var error = Assert.Throws<ChatException>(() => _ml.Transforms.DiffusionGemma.TokenizeChat(_folder.Path));
        Assert.StartsWith(_folder.File("chat_template.jinja"), error.Message);
    }

    [Theory]
    [InlineData("{{ bos_token }}{{ messages[0].content.nosuch() }}")]
    [InlineData("{{ nosuch(messages) }}")]
    public void A_template_that_always_fails_is_named_and_no_row_is(string template)
    {
        Template = template;
        IDataView data = TinyChat.Questions(_ml, 3);
        IDataView tokens = _ml.Transforms.DiffusionGemma.TokenizeChat(_folder.Path).Fit(data).Transform(data);
        AssertTemplate(Assert.ThrowsAny<Exception>(() => tokens.GetColumn<int[]>("InputIds").ToArray())
            .GetBaseExceptionOf<ChatException>());

        // Loading with the checkpoint checks rows too: no number of bad rows hides the template's fault.
        IDataView load = _ml.Data.LoadChatFromEnumerable(new ChatDataOptions { Checkpoint = _folder.Path, MaxErrors = 1000 },
            data.GetColumn<string>("Messages").ToArray());
        AssertTemplate(Assert.Throws<ChatException>(() => load.GetColumn<string>("Messages").ToArray()));
    }

    [Fact]
    public void A_template_that_fails_on_some_rows_leaves_the_fault_with_the_row()
    {
        Template = "{{ bos_token }}{% for m in messages %}{% if m.content == 'bad' %}{{ nosuch() }}{% endif %}{{ m.content }}{% endfor %}";
        string[] rows = [TinyChat.Row("good"), TinyChat.Row("bad"), TinyChat.Row("good")];
        IDataView view = _ml.Data.LoadChatFromEnumerable(new ChatDataOptions { Checkpoint = _folder.Path, MaxErrors = 1 }, rows);
        Assert.Equal(2, view.GetColumn<string>("Messages").Count());
        Assert.Equal(1, Assert.Single(view.GetSkippedChatRows()).Row);
    }

    private static void AssertTemplate(ChatException error)
    {
        Assert.StartsWith("The chat template fails at line 1", error.Message);
        Assert.EndsWith("It fails on every conversation: correct the checkpoint's chat template.", error.Message);
        Assert.Equal(1, error.TemplateLine);
    }
}
