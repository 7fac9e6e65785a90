using System.Text.Json;
using Microsoft.ML;
using Microsoft.ML.Data;

namespace DiffusionGemma.Data;

public class Gsm8kTests
{
    private static readonly string Source = Path.Combine(Fixtures.Root, "datasets", "gsm8k", "test.parquet");

    [Fact]
    public void Questions_become_conversations_that_the_loader_reads()
    {
        using TemporaryFolder folder = Fixtures.Temporary();
        string file = folder.File("below/gsm8k.jsonl");
        var ml = new MLContext();
        int count = Gsm8k.WriteConversations(ml, file, Source);
        string[] lines = File.ReadAllLines(file);
        Assert.Equal(count, lines.Length);
        Assert.Equal(1319, count);
        using (JsonDocument row = JsonDocument.Parse(lines[0]))
        {
            JsonElement messages = row.RootElement.GetProperty("messages");
            Assert.Equal(["user", "assistant"], messages.EnumerateArray().Select(message => message.GetProperty("role").GetString()));
            Assert.Contains("####", messages[1].GetProperty("content").GetString());
        }
        Assert.Equal(
            ml.Data.LoadChatFromParquet(Source, "question", "answer").GetColumn<string>(ChatColumns.Messages),
            ml.Data.LoadChatFromJsonLines(file).GetColumn<string>(ChatColumns.Messages).Select(row =>
            {
                using JsonDocument document = JsonDocument.Parse(row);
                return document.RootElement.ValueKind == JsonValueKind.Object
                    ? document.RootElement.GetProperty("messages").GetRawText() : row;
            }));
        Assert.Equal(["gsm8k.jsonl"], Directory.EnumerateFiles(Path.GetDirectoryName(file)!).Select(Path.GetFileName));
    }

    [Fact]
    public void Questions_come_from_JSON_Lines_too_and_a_failed_run_leaves_no_file()
    {
        using TemporaryFolder folder = Fixtures.Temporary();
        string source = folder.File("train.jsonl"), output = folder.File("out.jsonl");
        var ml = new MLContext();
        File.WriteAllText(source, "{\"question\":\"1+1?\",\"answer\":\"#### 2\"}\n");
        Assert.Equal(1, Gsm8k.WriteConversations(ml, output, source));
        Assert.Equal("{\"messages\":[{\"role\":\"user\",\"content\":\"1+1?\"},{\"role\":\"assistant\",\"content\":\"#### 2\"}]}\n",
            File.ReadAllText(output));
        File.Delete(output);
        File.WriteAllText(source, "{\"question\":\"1+1?\",\"answer\":\"#### 2\"}\n{\"question\":3}\n");
        Assert.ThrowsAny<Exception>(() => Gsm8k.WriteConversations(ml, output, source));
        Assert.Equal(["train.jsonl"], Directory.EnumerateFiles(folder.Path).Select(Path.GetFileName));
        Assert.Throws<FileNotFoundException>(() => Gsm8k.WriteConversations(ml, output, folder.File("none.parquet")));
    }
}
