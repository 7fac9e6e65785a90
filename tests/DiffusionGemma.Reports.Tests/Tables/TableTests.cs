using System.Globalization;
using Parquet;
using Parquet.Schema;

namespace DiffusionGemma.Tables;

/// <summary>Tables, read back.</summary>
public sealed class TableTests
{
    private static readonly StepRecord[] Steps =
        [Histories.Step(0, 0.1 + 0.2), Histories.Step(1, double.NaN), Histories.Step(2, double.PositiveInfinity)];

    [Fact]
    public void Csv_holds_every_figure_to_the_last_digit_in_every_culture()
    {
        using TemporaryFolder folder = Fixtures.Temporary();
        var comma = (CultureInfo)CultureInfo.InvariantCulture.Clone();
        comma.NumberFormat.NumberDecimalSeparator = ",";
        (CultureInfo before, CultureInfo.CurrentCulture) = (CultureInfo.CurrentCulture, comma);
        try
        {
            Steps.SaveCsv(folder.File("history.csv"));
        }
        finally
        {
            CultureInfo.CurrentCulture = before;
        }

        string[][] lines = [.. File.ReadAllLines(folder.File("history.csv")).Select(line => line.Split(','))];
        Assert.Equal([.. Steps.ToDataFrame().Columns.Select(column => column.Name)], lines[0]);
        Assert.Equal(Steps.Length + 1, lines.Length);
        int loss = Array.IndexOf(lines[0], "Loss"), memory = Array.IndexOf(lines[0], "PeakBytes");
        Assert.Equal(["0.30000000000000004", "NaN", "Infinity"], lines[1..].Select(line => line[loss]));
        Assert.All(lines[1..], line => Assert.Equal("1000000000000", line[memory]));
    }

    [Fact]
    public async Task Parquet_holds_the_same_columns_with_their_types()
    {
        using TemporaryFolder folder = Fixtures.Temporary();
        Steps.SaveParquet(folder.File("history.parquet"));

        Dictionary<string, Array> columns = await ReadAsync(folder.File("history.parquet"));
        Assert.Equal(Steps.ToDataFrame().Columns.Select(column => column.Name), columns.Keys);
        Assert.Equal(Steps.Select(step => step.Step), Assert.IsType<int[]>(columns["Step"]));
        Assert.Equal(Steps.Select(step => step.Loss), Assert.IsType<double[]>(columns["Loss"]));
        Assert.Equal(Steps.Select(step => step.PeakBytes), Assert.IsType<long[]>(columns["PeakBytes"]));
    }

    [Fact]
    public async Task Evaluations_have_a_column_for_each_noise_level()
    {
        using TemporaryFolder folder = Fixtures.Temporary();
        EvaluationRecord[] evaluations = [Histories.Evaluation(10, 3), Histories.Evaluation(20, 2)];
        evaluations.SaveCsv(folder.File("evaluations.csv"));
        evaluations.SaveParquet(folder.File("evaluations.parquet"));

        string[] lines = File.ReadAllLines(folder.File("evaluations.csv"));
        Assert.StartsWith("Step,DiffusionLoss,EncoderLoss,DiffusionLoss0.05,DiffusionLoss0.15,", lines[0]);
        Assert.Equal([20, 2, 1, 0.4, 0.8], lines[2].Split(',').Take(5).Select(value => double.Parse(value, CultureInfo.InvariantCulture)));
        Dictionary<string, Array> columns = await ReadAsync(folder.File("evaluations.parquet"));
        Assert.Equal(3 + EvaluationRecord.NoiseLevels, columns.Count);
        Assert.Equal([6.0, 4.0], Assert.IsType<double[]>(columns["DiffusionLoss0.95"]));
    }

    [Fact]
    public void Tables_of_nothing_have_a_header()
    {
        using TemporaryFolder folder = Fixtures.Temporary();
        Array.Empty<StepRecord>().SaveCsv(folder.File("history.csv"));
        Array.Empty<StepRecord>().SaveParquet(folder.File("history.parquet"));

        Assert.StartsWith("Step,Epoch,Loss,", Assert.Single(File.ReadAllLines(folder.File("history.csv"))));
        Assert.True(new FileInfo(folder.File("history.parquet")).Length > 0);
    }

    private static async Task<Dictionary<string, Array>> ReadAsync(string path)
    {
        await using ParquetReader reader = await ParquetReader.CreateAsync(path);
        using ParquetRowGroupReader group = reader.OpenRowGroupReader(0);
        var columns = new Dictionary<string, Array>();
        foreach (DataField field in reader.Schema.GetDataFields()) columns[field.Name] = await ReadAsync(group, field, (int)group.RowCount);
        return columns;
    }

    private static async Task<Array> ReadAsync(ParquetRowGroupReader group, DataField field, int rows)
    {
        async Task<Array> Read<T>() where T : unmanaged
        {
            var values = new T[rows];
            await group.ReadAsync<T>(field, values);
            return values;
        }
        return field.ClrType == typeof(int) ? await Read<int>() : field.ClrType == typeof(long) ? await Read<long>() : await Read<double>();
    }
}
