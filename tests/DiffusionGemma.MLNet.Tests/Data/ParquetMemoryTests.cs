using Microsoft.ML;
using Parquet;
using Parquet.Schema;

namespace DiffusionGemma.Data;

[Collection(Alone.Name)]
public sealed class ParquetMemoryTests
{
    private readonly MLContext _ml = new(seed: 1);

    /// <summary>A pass over twenty row groups of 4 MiB of text holds one of them in memory; the JIT and the heap take the rest.</summary>
    [Fact]
    public async Task Row_groups_are_in_memory_one_at_a_time()
    {
        const int Groups = 20, RowsInGroup = 64, Characters = 1 << 16;
        using TemporaryFolder folder = Fixtures.Temporary();
        string file = folder.File("large.parquet");
        var schema = new ParquetSchema(new DataField("question", typeof(string), isNullable: false));
        await using (FileStream stream = File.Create(file))
        await using (ParquetWriter writer = await ParquetWriter.CreateAsync(schema, stream,
            cancellationToken: TestContext.Current.CancellationToken))
        {
            for (int group = 0; group < Groups; group++)
            {
                using ParquetRowGroupWriter rows = writer.CreateRowGroup();
                string[] texts = [.. Enumerable.Range(0, RowsInGroup)
                    .Select(row => $"{group} {row} {new string((char)('a' + row % 26), Characters)}")];
                await rows.WriteAsync<ReadOnlyMemory<char>>(schema.DataFields[0], texts.Select(text => text.AsMemory()).ToArray(),
                    cancellationToken: TestContext.Current.CancellationToken);
            }
        }
        IDataView view = _ml.Data.LoadChatFromParquet(file, "question");
        using DataViewRowCursor cursor = view.GetRowCursor(view.Schema);
        long before = GC.GetTotalMemory(forceFullCollection: true), most = 0;
        int read = 0;
        while (cursor.MoveNext())
            if (read++ % RowsInGroup == RowsInGroup / 2) most = Math.Max(most, GC.GetTotalMemory(forceFullCollection: true) - before);
        Assert.Equal(Groups * RowsInGroup, read);
        long group1 = 2L * RowsInGroup * Characters;                                // as UTF-16
        Assert.True(most < 5 * group1, $"{most >> 20} MiB held, where a row group has {group1 >> 20} MiB");
    }
}
