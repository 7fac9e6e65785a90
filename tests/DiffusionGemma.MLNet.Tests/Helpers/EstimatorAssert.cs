using System.Reflection;
using Microsoft.ML;
using Microsoft.ML.Data;

namespace DiffusionGemma;

internal static class EstimatorAssert
{
    /// <summary>
    /// Checks that an estimator gives the columns it promises and the same rows after saving and loading, and refuses a missing or mistyped
    /// input.
    /// </summary>
    /// <returns>The fitted transformer.</returns>
    public static T Holds<T>(MLContext ml, IEstimator<T> estimator, IDataView input, params string[] inputColumns)
        where T : class, ITransformer
    {
        SchemaShape promised = estimator.GetOutputSchema(Shape(input.Schema));
        T transformer = estimator.Fit(input);
        IDataView output = transformer.Transform(input);
        Assert.Equal(Views.Columns(transformer.GetOutputSchema(input.Schema)), Views.Columns(output.Schema));
        foreach (SchemaShape.Column column in promised)
        {
            DataViewType given = output.Schema[column.Name].Type;
            DataViewType item = given is VectorDataViewType vector ? vector.ItemType : given;
            Assert.Equal(column.IsKey, item is KeyDataViewType);
            if (column.IsKey) Assert.Equal(column.ItemType.RawType, item.RawType);
            else Assert.Equal(column.ItemType, item);
            Assert.Equal(column.Kind == SchemaShape.Column.VectorKind.Scalar, given is not VectorDataViewType);
        }
        string[] rows = Views.Dump(output);
        Cursors(output, rows);

        ITransformer loaded = SaveAndLoad(ml, transformer, input.Schema);
        Assert.Equal(Views.Columns(output.Schema), Views.Columns(loaded.Transform(input).Schema));
        Assert.Equal(rows, Views.Dump(loaded.Transform(input)));
        // Saved once more, by what was loaded: nothing may be kept only by the first.
        Assert.Equal(rows, Views.Dump(SaveAndLoad(ml, loaded, input.Schema).Transform(input)));

        foreach (string name in inputColumns)
        {
            IDataView missing = ml.Transforms.DropColumns(name).Fit(input).Transform(input);
            IDataView other = WithStranger(ml, missing, name);
            foreach (IDataView wrong in new[] { missing, other })
            {
                Assert.Contains(name,
                    Assert.Throws<ArgumentOutOfRangeException>(() => estimator.GetOutputSchema(Shape(wrong.Schema))).Message);
                if (ReadsInScoring(transformer, input.Schema, name))
                    Assert.Contains(name,
                        Assert.Throws<ArgumentOutOfRangeException>(() => transformer.GetOutputSchema(wrong.Schema)).Message);
            }
        }
        return transformer;
    }

    /// <summary>Checks cursors over any columns, shuffled, in sets, and several at once: the same rows in every way.</summary>
    private static void Cursors(IDataView view, string[] rows)
    {
        DataViewSchema.Column[] columns = [.. view.Schema.Where(column => !column.IsHidden)];
        var random = new Random(1);
        for (int i = 0; i < columns.Length + 3; i++)
        {
            // Each column alone, then some subsets.
            string[] names = [.. columns.Where((_, at) => i < columns.Length ? at == i : random.Next(2) == 0)
                .Select(column => column.Name)];
            if (names.Length == 0) continue;
            string[] wanted =
                [.. rows.Select(row => string.Join(" | ", Split(row).Where(value => names.Contains(value[..value.IndexOf('=')]))))];
            Assert.Equal(wanted, Views.Dump(view, names));
        }

        if (view.CanShuffle)
        {
            using DataViewRowCursor shuffled = view.GetRowCursor(columns, new Random(2));
            Assert.Equal(rows.Order(), Views.Read(shuffled, columns).Order());
        }

        DataViewRowCursor[] set = view.GetRowCursorSet(columns, n: 3);
        Assert.Equal(rows.Order(), set.SelectMany(cursor => Views.Read(cursor, columns)).ToArray().Order());
        foreach (DataViewRowCursor cursor in set)
            cursor.Dispose();

        using DataViewRowCursor first = view.GetRowCursor(columns), second = view.GetRowCursor(columns);
        using IEnumerator<string> one = Views.Read(first, columns).GetEnumerator(), other = Views.Read(second, columns).GetEnumerator();
        foreach (string row in rows)
        {
            Assert.True(one.MoveNext() && other.MoveNext());
            Assert.Equal((row, row), (one.Current, other.Current));
        }
        Assert.False(one.MoveNext() || other.MoveNext());

        // A cursor without columns counts the rows.
        using DataViewRowCursor none = view.GetRowCursor([]);
        int count = 0;
        while (none.MoveNext())
            count++;
        Assert.Equal(rows.Length, count);

        static string[] Split(string row) => row.Split(" | ");
    }

    /// <summary>False for columns that only fitting reads.</summary>
    private static bool ReadsInScoring(ITransformer transformer, DataViewSchema schema, string name)
    {
        IRowToRowMapper mapper = transformer.GetRowToRowMapper(schema);
        DataViewSchema.Column[] added = [.. mapper.OutputSchema.Where(column => column.Index >= schema.Count)];
        return mapper.GetDependencies(added).Any(column => column.Name == name);
    }

    public static ITransformer SaveAndLoad(MLContext ml, ITransformer transformer, DataViewSchema schema)
    {
        using var stream = new MemoryStream();
        ml.Model.Save(transformer, schema, stream);
        stream.Position = 0;
        return ml.Model.Load(stream, out _);
    }

    // SchemaShape.Create, which pipelines call on their input, is internal to ML.NET.
    private static SchemaShape Shape(DataViewSchema schema) =>
        (SchemaShape)typeof(SchemaShape).GetMethod("Create", BindingFlags.NonPublic | BindingFlags.Static)!.Invoke(null, [schema])!;

    /// <summary>The view with a column of a type that no part of the pipeline takes.</summary>
    private static IDataView WithStranger(MLContext ml, IDataView view, string name)
    {
        IDataView stranger = ml.Transforms.CustomMapping<Nothing,
            Stranger>((_, output) => output.Value = 1.5, contractName: null).Fit(view).Transform(view);
        return ml.Transforms.CopyColumns(name, nameof(Stranger.Value)).Fit(stranger).Transform(stranger);
    }

    private sealed class Nothing;

    private sealed class Stranger
    {
        public double Value { get; set; }
    }
}
