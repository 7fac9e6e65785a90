using Microsoft.Data.Analysis;
using Microsoft.ML;
using Microsoft.ML.Data;
using Parquet.Serialization;

namespace DiffusionGemma.Data;

/// <summary>Alpaca rows from every loader.</summary>
public sealed class AlpacaTests
{
    private static readonly string[] Rows =
    [
        """{"instruction": "Add.", "input": "2 and 3", "output": "5"}""",
        """{"instruction": "Say hi.", "input": "", "output": "Hi."}""",
        """{"instruction": "Sing.", "input": null, "output": ""}""",
        """{"instruction": "Why?", "output": null}""",
    ];

    private static readonly string[] Messages =
    [
        """[{"role":"user","content":"Add.\n\n2 and 3"},{"role":"assistant","content":"5"}]""",
        """[{"role":"user","content":"Say hi."},{"role":"assistant","content":"Hi."}]""",
        """[{"role":"user","content":"Sing."},{"role":"assistant","content":""}]""",
        """[{"role":"user","content":"Why?"}]""",
    ];

    private readonly MLContext _ml = new(seed: 1);

    [Fact]
    public void From_lines_and_from_memory()
    {
        using TemporaryFolder folder = Fixtures.Temporary();
        File.WriteAllLines(folder.File("alpaca.jsonl"), Rows);
        Assert.Equal(Messages, _ml.Data.LoadChatFromJsonLines(folder.File("alpaca.jsonl")).GetColumn<string>("Messages"));
        Assert.Equal(Messages, _ml.Data.LoadChatFromEnumerable(Rows).GetColumn<string>("Messages"));
    }

    [Fact]
    public async Task From_parquet()
    {
        using TemporaryFolder folder = Fixtures.Temporary();
        AlpacaRow[] rows = [new("Add.", "2 and 3", "5"), new("Say hi.", "", "Hi."), new("Sing.", null, ""), new("Why?", null, null)];
        await ParquetSerializer.SerializeAsync(rows, folder.File("alpaca.parquet"),
            cancellationToken: TestContext.Current.CancellationToken);
        Assert.Equal(Messages, _ml.Data.LoadChatFromParquet(folder.File("alpaca.parquet")).GetColumn<string>("Messages"));
    }

    [Fact]
    public void From_a_data_frame()
    {
        var frame = new DataFrame(
            new StringDataFrameColumn("instruction", ["Add.", "Say hi.", "Sing.", "Why?"]),
            new StringDataFrameColumn("input", ["2 and 3", "", null, null]),
            new StringDataFrameColumn("output", ["5", "Hi.", "", null]));
        Assert.Equal(Messages, _ml.Data.LoadChatFromDataFrame(frame).GetColumn<string>("Messages"));
    }

    [Fact]
    public void Other_keys_survive() => Assert.Equal(
        """{"messages":[{"role":"user","content":"a"},{"role":"assistant","content":"b"}],"id": 1.0}""".Replace(" ", "",
            StringComparison.Ordinal),
        _ml.Data.LoadChatFromEnumerable(["""{"id": 1.0, "instruction": "a", "output": "b", "source": null}"""])
            .GetColumn<string>("Messages").Single());

    [Theory]
    [InlineData("""{"instruction": 3}""", "'instruction' must be text, it is the number 3")]
    [InlineData("""{"instruction": "a", "input": ["b"]}""", "'input' must be text, it is a list")]
    [InlineData("""{"instruction": "a", "output": {}}""", "'output' must be text, it is an object")]
    [InlineData("""{"instruction": "a", "system": 1}""", "'system' must be text, it is the number 1")]
    public void Wrong_rows_have_a_reason(string row, string reason) =>
        Assert.Equal(reason, Assert.Throws<ChatDataException>(() => _ml.Data.LoadChatFromEnumerable([row]).GetColumn<string>("Messages")
            .ToArray()).Reason);

    /// <summary>Nothing that would change the prompt is left out in silence.</summary>
    [Fact]
    public async Task A_system_text_beside_Alpacas_or_ShareGPTs_keys_goes_first()
    {
        const string Expected =
            """[{"role":"system","content":"Be brief."},{"role":"user","content":"a"},{"role":"assistant","content":"b"}]""";
        string[] rows =
        [
            """{"instruction": "a", "input": "", "output": "b", "system": "Be brief.", "history": []}""",
            """{"system": "Be brief.", "conversations": [{"from": "human", "value": "a"}, {"from": "gpt", "value": "b"}]}""",
        ];
        Assert.Equal([Expected, Expected], _ml.Data.LoadChatFromEnumerable(rows).GetColumn<string>("Messages"));
        var frame = new DataFrame(new StringDataFrameColumn("instruction", ["a"]), new StringDataFrameColumn("output", ["b"]),
            new StringDataFrameColumn("system", ["Be brief."]));
        Assert.Equal([Expected], _ml.Data.LoadChatFromDataFrame(frame).GetColumn<string>("Messages"));
        frame = new DataFrame(new StringDataFrameColumn("conversations",
            ["""[{"from": "human", "value": "a"}, {"from": "gpt", "value": "b"}]"""]), new StringDataFrameColumn("system", ["Be brief."]));
        Assert.Equal([Expected], _ml.Data.LoadChatFromDataFrame(frame).GetColumn<string>("Messages"));
        using TemporaryFolder folder = Fixtures.Temporary();
        await ParquetSerializer.SerializeAsync([new WithSystem { instruction = "a", output = "b", system = "Be brief." }],
            folder.File("a.parquet"), cancellationToken: TestContext.Current.CancellationToken);
        Assert.Equal([Expected], _ml.Data.LoadChatFromParquet(folder.File("a.parquet")).GetColumn<string>("Messages"));
        await ParquetSerializer.SerializeAsync([new Shared { conversations = [new() { from = "human", value = "a" },
            new() { from = "gpt", value = "b" }], system = "Be brief." }], folder.File("s.parquet"),
            cancellationToken: TestContext.Current.CancellationToken);
        Assert.Equal([Expected], _ml.Data.LoadChatFromParquet(folder.File("s.parquet")).GetColumn<string>("Messages"));
        // A column that is asked for twice is read once.
        Assert.Equal([Expected], _ml.Data.LoadChatFromParquet(new ChatDataOptions { TemplateColumns = ["system", "system"] },
            folder.File("s.parquet")).GetColumn<string>("Messages"));
    }

    private sealed class WithSystem
    {
        public string instruction { get; set; } = "";

        public string output { get; set; } = "";

        public string system { get; set; } = "";
    }

    private sealed class Shared
    {
        public List<Turn> conversations { get; set; } = [];

        public string system { get; set; } = "";
    }

    private sealed class Turn
    {
        public string from { get; set; } = "";

        public string value { get; set; } = "";
    }

    private sealed record AlpacaRow(string instruction, string? input, string? output)
    {
        public AlpacaRow()
            : this("", null, null)
        {
        }
    }
}
