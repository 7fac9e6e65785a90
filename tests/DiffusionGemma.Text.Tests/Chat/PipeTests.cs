namespace DiffusionGemma;

/// <summary>A pipe in place of a checkpoint's file of text: refused at once, where opening it would wait for ever.</summary>
public sealed class PipeTests
{
    [Theory]
    [InlineData("tokenizer.json")]
    [InlineData("tokenizer_config.json")]
    [InlineData("chat_template.jinja")]
    public void In_a_checkpoint(string file)
    {
        using TemporaryFolder folder = Fixtures.Temporary();
        foreach (string name in (string[])["tokenizer.json", "tokenizer_config.json", "chat_template.jinja"])
            File.Copy(Path.Combine(Fixtures.Checkpoint("tiny-chat"), name), folder.File(name));
        NamedPipe.Make(folder.File(file));
        Assert.IsAssignableFrom<IOException>(NamedPipe.Refused(folder.File(file), () => ChatTokenizer.Load(folder.Path)));
    }
}
