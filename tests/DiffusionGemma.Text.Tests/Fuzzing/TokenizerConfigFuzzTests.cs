using System.Text.Json;

namespace DiffusionGemma;

public sealed class TokenizerConfigFuzzTests
{
    /// <summary>Whatever stands in tokenizer_config.json, its template is read and used, or refused with the typed error.</summary>
    [Fact]
    public void BrokenFilesFailOnlyWithTheTypedError()
    {
        using TemporaryFolder folder = Fixtures.Temporary();
        string path = folder.File("tokenizer_config.json"), template = ChatTemplate.Load(Fixtures.Checkpoint("tiny-chat")).Source;
        object special = new { content = "<eos>", lstrip = false, special = true };
        string[] originals =
        [
            JsonSerializer.Serialize(new
            {
                bos_token = "<bos>", eos_token = special, extra_special_tokens = new { boi_token = "<boi>" }, add_bos_token = true,
                chat_template = template,
            }),
            JsonSerializer.Serialize(new
            {
                bos_token = "<bos>", chat_template = new[]
                {
                    new { name = "default", template }, new { name = "tool_use", template = "{{ bos_token }}{{ tools | tojson }}" },
                },
            }),
        ];
        File.WriteAllText(path, originals[0]);
        ChatConversation chat = ChatConversation.Parse("""{"messages": [{"role": "user", "content": "q"}], "tools": []}""");
        new MutationFuzzer
        {
            Name = "tokenizer_config", Folder = folder.Path, Mutations = 2_000,                  // each reads a template
            Make = random => Mutations.OfJsonText(random, originals[random.Next(originals.Length)]),
            Read = input =>
            {
                File.WriteAllBytes(path, input);
                try
                {
                    ChatTemplate.Load(folder.Path).Render(chat, addGenerationPrompt: true);
                }
                catch (Exception e) when (e is InvalidDataException or FileNotFoundException)
                {
                    Assert.Contains(folder.Path, e.Message, StringComparison.Ordinal);
                }
                catch (ChatException e)
                {
                    Assert.True(e.TemplateLine > 0 || e.Key is not null, e.Message);
                }
            },
        }.Run();
    }
}
