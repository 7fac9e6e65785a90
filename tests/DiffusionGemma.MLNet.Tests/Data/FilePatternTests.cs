using Microsoft.ML;
using Microsoft.ML.Data;

namespace DiffusionGemma.Data;

public sealed class FilePatternTests : IDisposable
{
    private readonly MLContext _ml = new(seed: 1);
    private readonly TemporaryFolder _folder = Fixtures.Temporary("patterns");

    public FilePatternTests()
    {
        foreach (string file in new[] { "b.jsonl", "a.jsonl", "a.txt", ".hidden.jsonl", "one/c.jsonl", "one/two/d.jsonl",
            "one-more/e.jsonl", ".git/f.jsonl", "[x].jsonl", "file10.jsonl", "file2.jsonl" })
        {
            Directory.CreateDirectory(Path.GetDirectoryName(_folder.File(file))!);
            File.WriteAllText(_folder.File(file), $$"""[{"role":"user","content":"{{file}}"}]""");
        }
    }

    public void Dispose() => _folder.Dispose();

    [Theory]
    [InlineData("*.jsonl", "[x].jsonl a.jsonl b.jsonl file10.jsonl file2.jsonl")]
    [InlineData("?.jsonl", "a.jsonl b.jsonl")]
    [InlineData("[x].jsonl", "[x].jsonl")]
    [InlineData(".*.jsonl", ".hidden.jsonl")]
    [InlineData("one*/*.jsonl", "one-more/e.jsonl one/c.jsonl")]
    [InlineData("one/**/*.jsonl", "one/c.jsonl one/two/d.jsonl")]
    [InlineData("**/?.jsonl", "a.jsonl b.jsonl one-more/e.jsonl one/c.jsonl one/two/d.jsonl")]
    [InlineData("one/**", "one/c.jsonl one/two/d.jsonl")]
    [InlineData("**/**/two/**/*.jsonl", "one/two/d.jsonl")]
    [InlineData("**/two/d.*", "one/two/d.jsonl")]
    public void Files_come_in_the_ordinal_order_of_their_paths(string pattern, string files) =>
        Assert.Equal(files.Split(' '), Load(pattern));

    [Fact]
    public void Files_and_patterns_are_read_in_the_order_in_which_they_are_named() =>
        Assert.Equal(["one/c.jsonl", "a.jsonl", "b.jsonl", "a.jsonl"], Load("one/c.jsonl", "?.jsonl", "a.jsonl"));

    [Theory]
    [InlineData("*.parquet")]
    [InlineData("three/*.jsonl")]
    [InlineData("**/g.jsonl")]
    public void A_pattern_that_matches_nothing_is_refused_by_name(string pattern)
    {
        var error = Assert.Throws<FileNotFoundException>(() => Load("a.jsonl", pattern));
        Assert.Contains($"No file of chat data matches {_folder.File(pattern)}", error.Message);
        Assert.Throws<FileNotFoundException>(() => _ml.Data.LoadChatFromParquet(_folder.File(pattern)));
    }

    [Fact]
    public void A_folder_is_refused_with_what_to_write_in_its_place() =>
        Assert.Contains($"name its files, for example {_folder.File("one/*.jsonl")}",
            Assert.Throws<ArgumentException>(() => Load("one")).Message);

    [Fact]
    public void A_later_file_is_opened_when_its_rows_are_read_and_its_errors_name_it()
    {
        IDataView view = _ml.Data.LoadChatFromJsonLines(_folder.File("?.jsonl"));
        File.WriteAllText(_folder.File("b.jsonl"), "\n{}");
        var error = Assert.Throws<ChatDataException>(() => view.GetColumn<string>("Messages").ToArray());
        Assert.Equal((_folder.File("b.jsonl"), 2L), (error.File, error.Line));
        File.Delete(_folder.File("b.jsonl"));
        Assert.Contains("a.jsonl", view.GetColumn<string>("Messages").First());
    }

    [Fact]
    public void Links_to_folders_are_not_followed_without_end()
    {
        Directory.CreateSymbolicLink(_folder.File("one/loop"), _folder.Path);
        Assert.Equal(["one/c.jsonl", "one/two/d.jsonl"], Load("one/**/*.jsonl"));
    }

    [Fact]
    public void Parquet_files_of_a_pattern_follow_each_other()
    {
        IDataView view = _ml.Data.LoadChatFromParquet(new ChatDataOptions { QuestionColumn = "question", AnswerColumn = "answer" },
            ExpectedData.Path("gsm8k_p*.parquet"));
        Assert.Equal(420, view.GetRowCount());
        Assert.Equal(420, view.GetColumn<string>("Messages").Count());
    }

    private string[] Load(params string[] patterns) =>
    [
        .. ExpectedData.Rows(_ml.Data.LoadChatFromJsonLines([.. patterns.Select(_folder.File)]))
            .Select(row => row[0].GetProperty("content").GetString()!),
    ];
}
