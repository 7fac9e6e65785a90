using System.IO.Compression;
using System.Text;
using System.Text.Json;
using Microsoft.ML;
using Microsoft.ML.Data;

namespace DiffusionGemma.Data;

/// <summary>JSON files that are one list of rows, and files that are no JSON Lines.</summary>
public sealed class JsonListTests
{
    private const string Row = """[{"role":"user","content":"q"},{"role":"assistant","content":"a"}]""";

    private readonly MLContext _ml = new(seed: 1);

    [Theory]
    [InlineData("""[{"messages":ROW},{"messages":ROW}]""")]
    [InlineData("[\n  {\"messages\": ROW},\n  {\"messages\": ROW}\n]\n")]
    [InlineData("[{\"messages\":ROW},\r\n{\"messages\":ROW}]\r\n\r\n")]
    [InlineData("\uFEFF\n\n[\n\n{\n\"messages\"\n:\nROW\n}\n,\n{\"messages\":ROW}\n]")]
    [InlineData("[ROW, ROW]")]
    [InlineData("[\nROW,\nROW]")]
    [InlineData("""[{"instruction":"q","output":"a"},{"instruction":"q","input":"","output":"a"}]""")]
    [InlineData("""[{"conversations":[{"from":"human","value":"q"},{"from":"gpt","value":"a"}]},{"messages":ROW}]""")]
    public void A_list_of_rows_is_read_like_lines(string text)
    {
        using TemporaryFolder folder = Fixtures.Temporary();
        File.WriteAllText(folder.File("rows.json"), text.Replace("ROW", Row, StringComparison.Ordinal));
        File.WriteAllText(folder.File("more.jsonl"), Row);
        Assert.Equal([Row, Row, Row], Load(folder.File("rows.json"), folder.File("more.jsonl")));
    }

    [Fact]
    public void Rows_of_any_length_across_the_reading_buffer_stay_whole()
    {
        using TemporaryFolder folder = Fixtures.Temporary();
        string[] contents = [.. new[] { 0, 10, 65_000, 65_536, 70_000, 300_000, 1, 131_072 }
            .Select((length, i) => string.Concat(Enumerable.Repeat(i % 2 == 0 ? "é🙂[" : "x\\\"}", length / 4)))];
        foreach (bool isIndented in new[] { false, true })
        {
            File.WriteAllText(folder.File("rows.json"), JsonSerializer.Serialize(
                contents.Select(content => new { messages = new[] { new { role = "user", content } } }),
                new JsonSerializerOptions { WriteIndented = isIndented }));
            Assert.Equal(contents, Load(folder.File("rows.json"))
                .Select(row => JsonDocument.Parse(row).RootElement[0].GetProperty("content").GetString()));
        }
    }

    [Fact]
    public void A_bad_row_of_a_list_is_named_by_its_number_and_may_be_left_out()
    {
        using TemporaryFolder folder = Fixtures.Temporary();
        string file = folder.File("rows.json");
        File.WriteAllText(file, $$"""[{"messages":{{Row}}}, {"x": 1}, 7, null, {"messages":{{Row}}}]""");
        IDataView view = _ml.Data.LoadChatFromJsonLines(new ChatDataOptions { MaxErrors = 3 }, file);
        Assert.Equal([Row, Row], view.GetColumn<string>("Messages"));
        Assert.Equal([1, 2, 3], view.GetSkippedChatRows().Select(error => error.Row!.Value));
        Assert.All(view.GetSkippedChatRows(), error => Assert.Equal((file, null), (error.File, error.Line)));
        var fault = Assert.Throws<ChatDataException>(() => Load(file));
        Assert.StartsWith($"{file}, row 1 (counted from 0): the row has no 'messages'", fault.Message);
    }

    /// <summary>Files at fault as a whole, however many bad rows are allowed.</summary>
    [Theory]
    [InlineData("[{\"messages\":ROW},\n{\"messages\":ROW},\n]", 3, "this JSON file cannot be read further")]
    [InlineData("[{\"messages\":ROW},\n{\"messages\":", 2, "this JSON file cannot be read further")]
    [InlineData("[{\"messages\":ROW}]\n[{\"messages\":ROW}]", 2, "this JSON file cannot be read further")]
    [InlineData("[{\"messages\":ROW}\n{\"messages\":ROW}]", 2, "this JSON file cannot be read further")]
    [InlineData("[\n{\"role\":\"user\",\"content\":\"q\"}\n]", null, "this JSON file is one conversation")]
    [InlineData("{\n  \"messages\": []\n}\n", 1, "this is a JSON file, not JSON Lines")]
    [InlineData("\nversion https://git-lfs.github.com/spec/v1\noid sha256:0", 2, "this file is a pointer of Git LFS")]
    [InlineData("<!DOCTYPE html>", 1, "this is an HTML or XML page")]
    public void A_file_that_is_neither_says_so(string text, int? line, string reason)
    {
        using TemporaryFolder folder = Fixtures.Temporary();
        File.WriteAllText(folder.File("rows.json"), text.Replace("ROW", Row, StringComparison.Ordinal));
        AssertFault(folder.File("rows.json"), line, reason);
    }

    [Fact]
    public void Files_of_other_kinds_are_told_by_their_first_bytes()
    {
        using TemporaryFolder folder = Fixtures.Temporary();
        string file = folder.File("rows.jsonl");
        foreach (Encoding encoding in new[] { Encoding.Unicode, Encoding.BigEndianUnicode })
        {
            File.WriteAllText(file, Row, encoding);
            AssertFault(file, 1, "this file is UTF-16");
        }
        using (var zip = new GZipStream(File.Create(file), CompressionLevel.Fastest))
            zip.Write(Encoding.UTF8.GetBytes(Row));
        AssertFault(file, 1, "this file is compressed by gzip");
        File.Copy(ExpectedData.Path("messages_pyarrow.parquet"), file, overwrite: true);
        AssertFault(file, 1, "this is a parquet file");
    }

    [Theory]
    [InlineData("")]
    [InlineData(" \n\n")]
    [InlineData("[\n]\n")]
    public void A_file_without_rows_has_none(string text)
    {
        using TemporaryFolder folder = Fixtures.Temporary();
        File.WriteAllText(folder.File("rows.json"), text);
        Assert.Empty(Load(folder.File("rows.json")));
    }

    private void AssertFault(string file, int? line, string reason)
    {
        foreach (int maxErrors in new[] { 0, 1000 })
        {
            IDataView view = _ml.Data.LoadChatFromJsonLines(new ChatDataOptions { MaxErrors = maxErrors }, file);
            var error = Assert.Throws<ChatDataException>(() => view.GetColumn<string>("Messages").ToArray());
            Assert.StartsWith(reason, error.Reason);
            Assert.Equal((file, line), (error.File, error.Line));
        }
    }

    private string[] Load(params string[] files) => [.. _ml.Data.LoadChatFromJsonLines(files).GetColumn<string>("Messages")];
}
