using System.Text;
using Microsoft.ML;

namespace DiffusionGemma.Data;

/// <summary>Whatever bytes a file of conversations holds, it is read, or refused with the typed error that names it.</summary>
public sealed class DataFuzzTests
{
    private readonly MLContext _ml = new(seed: 1);

    [Fact]
    public void Broken_lines_fail_only_with_the_typed_error()
    {
        byte[][] originals =
        [
            .. new[] { "messages.jsonl", "messages_extra_columns.jsonl", "messages_bom_crlf_blank.jsonl", "conversations_sharegpt.jsonl",
                "messages_no_last_newline_ascii.jsonl" }
                .Select(name => File.ReadAllBytes(ExpectedData.Path(name))[..^0]),
            Encoding.UTF8.GetBytes("""{"instruction": "a", "input": "b", "output": "c"}""" + "\n"
                + """{"messages": [{"role": "user", "content": [{"type": "text", "text": "x"}]}], "tools": [1.0, 2]}""" + "\n"),
        ];
        using TemporaryFolder folder = Fixtures.Temporary();
        string path = folder.File("fuzz.jsonl");
        File.WriteAllBytes(path, []);
        new MutationFuzzer
        {
            Name = "jsonl", Mutations = 5_000, Folder = folder.Path,                             // each makes a data view
            Make = random => Mutations.OfBytes(random, originals[random.Next(originals.Length)]),
            Read = bytes => Read(path, bytes, () => _ml.Data.LoadChatFromJsonLines(path)),
        }.Run();
    }

    [Fact]
    public void Broken_parquet_fails_only_with_the_typed_error()
    {
        (byte[] Bytes, bool Questions)[] originals =
        [
            .. new[] { "gsm8k_pyarrow_snappy", "gsm8k_pyarrow_gzip", "gsm8k_pyarrow_zstd", "gsm8k_pyarrow_v26_delta", "gsm8k_polars",
                "gsm8k_duckdb", "gsm8k_nulls", "gsm8k_empty" }
                .Select(name => (File.ReadAllBytes(ExpectedData.Path(name + ".parquet")), true)),
            .. new[] { "messages_pyarrow", "messages_polars",
                "messages_json_pyarrow" }.Select(name => (File.ReadAllBytes(ExpectedData.Path(name + ".parquet")), false)),
        ];
        originals = [.. originals, .. Directory.EnumerateFiles(Fixtures.Path("parquet")).Order()
            .Select(file => (File.ReadAllBytes(file), false))];
        using TemporaryFolder folder = Fixtures.Temporary();
        string path = folder.File("fuzz.parquet");
        File.WriteAllBytes(path, []);
        bool questions = false;
        new MutationFuzzer
        {
            Name = "parquet", Mutations = 3_000, Folder = folder.Path,                           // each makes a data view
            Make = random =>
            {
                (byte[] bytes, questions) = originals[random.Next(originals.Length)];
                // Half of the cases break the footer: it says what the rest is.
                return Mutations.OfBytes(random, bytes, random.Next(2) == 0 ? 0 : Math.Max(0, bytes.Length - 1200));
            },
            Read = bytes => Read(path, bytes, () => questions ? _ml.Data.LoadChatFromParquet(path, "question", "answer")
                : _ml.Data.LoadChatFromParquet(path)),
        }.Run();
    }

    private static void Read(string path, byte[] bytes, Func<IDataView> load)
    {
        File.WriteAllBytes(path, bytes);
        try
        {
            Views.Dump(load());
        }
        catch (ChatDataException error)
        {
            Assert.Equal(path, error.File);
            Assert.Contains(path, error.Message, StringComparison.Ordinal);
        }
    }
}
