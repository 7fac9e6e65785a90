using DiffusionGemma.FineTuning;
using Microsoft.ML;

namespace DiffusionGemma;

/// <summary>A pipe in place of rows, a saved model or a chat template: refused at once, where opening it would wait for ever.</summary>
public sealed class PipeTests : IDisposable
{
    private readonly MLContext _ml = new(seed: 1);
    private readonly TemporaryFolder _folder = Fixtures.Temporary("pipe");

    public void Dispose() => _folder.Dispose();

    /// <summary>Rows are read more than once, and a parquet file from its end.</summary>
    [Theory]
    [InlineData("rows.jsonl")]
    [InlineData("rows.parquet")]
    public void Rows(string file)
    {
        string path = Pipe(file);
        foreach (string name in (string[])[path, _folder.File("rows.*")])
            Assert.IsType<IOException>(NamedPipe.Refused(path, () => _ = file.EndsWith("jsonl", StringComparison.Ordinal)
                ? _ml.Data.LoadChatFromJsonLines(name) : _ml.Data.LoadChatFromParquet(name)));
    }

    [Fact]
    public void A_saved_model()
    {
        string path = Pipe("model.zip");
        Assert.IsAssignableFrom<IOException>(NamedPipe.Refused(path, () => _ml.Transforms.DiffusionGemma.Load(path)));
    }

    [Fact]
    public void A_chat_template()
    {
        string path = Pipe("own.jinja");
        Assert.IsAssignableFrom<IOException>(NamedPipe.Refused(path,
            () => _ml.Transforms.DiffusionGemma.Preview(TinyChat.Checkpoint, TinyChat.Row("Hello"), chatTemplate: path)));
    }

    private string Pipe(string name)
    {
        NamedPipe.Make(_folder.File(name));
        return _folder.File(name);
    }
}
