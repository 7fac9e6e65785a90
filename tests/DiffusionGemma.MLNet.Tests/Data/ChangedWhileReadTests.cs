using Microsoft.ML;
using Microsoft.ML.Data;
using Parquet;
using Parquet.Schema;

namespace DiffusionGemma.Data;

/// <summary>Files of rows that another program deletes, replaces, cuts short or adds to while they are read.</summary>
public sealed class ChangedWhileReadTests : IDisposable
{
    private const int Rows = 3000;

    private readonly MLContext _ml = new();
    private readonly TemporaryFolder _folder = Fixtures.Temporary("changed");

    public void Dispose() => _folder.Dispose();

    [Theory]
    [InlineData("rows.jsonl")]
    [InlineData("rows.json")]
    [InlineData("rows.parquet")]
    public void A_file_that_is_cut_short_or_added_to_is_an_error(string name)
    {
        string path = Write(name);
        byte[] whole = File.ReadAllBytes(path);
        foreach (byte[] changed in new[] { CutAfterARow(whole), [.. whole, .. whole] })
        {
            File.WriteAllBytes(path, whole);
            var error = Assert.Throws<ChatDataException>(() => Read(path, () =>
            {
                using FileStream other = new(path, FileMode.Open, FileAccess.ReadWrite, FileShare.ReadWrite | FileShare.Delete);
                other.SetLength(0);
                other.Write(changed);
                other.Dispose();
                File.SetLastWriteTimeUtc(path, File.GetLastWriteTimeUtc(path).AddSeconds(1));     // clocks of disks may be coarse
            }));
            Assert.Contains(path, error.Message, StringComparison.Ordinal);
        }
        File.WriteAllBytes(path, whole);
        Assert.Equal(Rows, Read(path, () => { }));
    }

    [Theory]
    [InlineData("rows.jsonl")]
    [InlineData("rows.json")]
    [InlineData("rows.parquet")]
    public void A_file_that_is_deleted_or_replaced_is_read_as_it_was(string name)
    {
        Assert.SkipWhen(OperatingSystem.IsWindows(), "Windows keeps the name of a file that is open.");
        string path = Write(name);
        Assert.Equal(Rows, Read(path, () =>
        {
            File.WriteAllText(path + ".new", "another");
            File.Move(path + ".new", path, overwrite: true);
        }));
        path = Write(name);
        Assert.Equal(Rows, Read(path, () => File.Delete(path)));
    }

    /// <summary>The lines up to the middle; of parquet the first half.</summary>
    private static byte[] CutAfterARow(byte[] whole)
    {
        int end = whole.AsSpan(0, whole.Length / 2).LastIndexOf((byte)'\n');
        return whole[..(end < 0 ? whole.Length / 2 : end + 1)];
    }

    private string Write(string name)
    {
        string path = _folder.File(name);
        string text = new('x', 90);
        string[] rows = [.. Enumerable.Range(0, Rows).Select(n => $$"""[{"role":"user","content":"{{n}} {{text}}"}]""")];
        if (name.EndsWith(".jsonl", StringComparison.Ordinal)) File.WriteAllLines(path, rows);
        else if (name.EndsWith(".json", StringComparison.Ordinal)) File.WriteAllText(path, $"[{string.Join(",\n", rows)}]");
        else WriteParquetAsync(path, rows).GetAwaiter().GetResult();
        return path;
    }

    private static async Task WriteParquetAsync(string path, string[] rows)
    {
        var messages = new DataField("messages", typeof(string), isNullable: false);
        await using FileStream stream = File.Create(path);
        await using ParquetWriter writer = await ParquetWriter.CreateAsync(new ParquetSchema(messages), stream);
        foreach (string[] part in rows.Chunk(Rows / 10))
        {
            using ParquetRowGroupWriter group = writer.CreateRowGroup();
            await group.WriteAsync(messages, part);
            group.CompleteValidate();
        }
    }

    /// <summary>Reads all rows, and changes the file after the first.</summary>
    private int Read(string path, Action change)
    {
        IDataView data = path.EndsWith(".parquet", StringComparison.Ordinal) ? _ml.Data.LoadChatFromParquet(path)
            : _ml.Data.LoadChatFromJsonLines(path);
        int count = 0;
        foreach (string _ in data.GetColumn<string>(ChatColumns.Messages))
            if (++count == 1) change();
        return count;
    }
}
