namespace DiffusionGemma.Typed;

/// <summary>The columns that a schema's values become.</summary>
public sealed class SchemaColumnsTests
{
    [Fact]
    public void A_types_columns_have_the_names_of_its_members()
    {
        string schema = AnswerGrammar.Json<Order>().Source;
        Assert.Equal(
            [
                "Item.Code item.code Integer", "Item.IsNew item.isNew Single", "Count count Integer", "IsUrgent isUrgent Boolean",
                "Paint paint Key(Red,Green)", "Discount discount Double", "Weight weight Single",
            ],
            Describe(SchemaColumns.Read(schema, typeof(Order), AnswerGrammar.Serializer)));
    }

    [Theory]
    [InlineData("""{"type":"integer"}""", true, "a a Integer")]
    [InlineData("""{"type":"integer"}""", false, "a a Double")]
    [InlineData("""{"type":"integer","minimum":0,"maximum":18446744073709551615}""", true, "a a Double")]
    [InlineData("""{"type":["integer","null"]}""", true, "a a Double")]
    [InlineData("""{"type":"number"}""", true, "a a Double")]
    [InlineData("""{"type":["integer","number"]}""", true, "a a Double")]
    [InlineData("""{"type":"boolean"}""", true, "a a Boolean")]
    [InlineData("""{"type":"boolean"}""", false, "a a Single")]
    [InlineData("""{"type":"string","maxLength":3}""", false, "a a Text")]
    [InlineData("""{"enum":["x","y",null]}""", true, "a a Key(x,y)")]
    [InlineData("""{"enum":[1,"1x",true]}""", true, "a a Key(1,1x,true)")]
    [InlineData("""{"const":"x"}""", false, "a a Key(x)")]
    [InlineData("""{"anyOf":[{"type":"null"},{"type":"boolean"}]}""", true, "a a Single")]
    [InlineData("""{"anyOf":[{"type":"integer"},{"type":"boolean"}]}""", true, "")]
    [InlineData("""{"type":["string","boolean"]}""", true, "")]
    [InlineData("""{"type":"null"}""", true, "")]
    [InlineData("""{"type":"array","items":{"type":"integer"}}""", false, "a a Integer[]")]
    [InlineData("""{"type":"array","items":{"type":["number","null"]}}""", true, "a a Double[]")]
    [InlineData("""{"type":"array","items":{"enum":["x","y"]}}""", true, "a a Key(x,y)[]")]
    [InlineData("""{"type":"array","items":{"type":"object","properties":{"n":{"type":"integer"}}}}""", true, "")]
    [InlineData("""{"type":"array","items":{"type":"array","items":{"type":"integer"}}}""", true, "")]
    [InlineData("""{"type":"object","properties":{"b":{"type":"integer"},"c":{"type":"string"}},"required":["b"]}""", true,
        "a.b a.b Integer; a.c a.c Text")]
    [InlineData("""{"type":["object","null"],"properties":{"b":{"type":"integer"}},"required":["b"]}""", true, "a.b a.b Double")]
    public void A_property_becomes_columns(string property, bool isRequired, string expected)
    {
        string schema = $$"""{"type":"object","properties":{"a":{{property}}},"required":[{{(isRequired ? "\"a\"" : "")}}]}""";
        Assert.Equal(expected, string.Join("; ", Describe(SchemaColumns.Read(schema))));
        Assert.NotNull(AnswerGrammar.JsonSchema(schema));                                          // a schema that grammars read
    }

    [Fact]
    public void References_are_followed_and_recursive_parts_have_no_columns()
    {
        const string Schema = """
            {"type":"object","properties":{"a":{"$ref":"#/$defs/node"},"b":{"$ref":"#/$defs/size"}},"required":["a","b"],
             "$defs":{"size":{"enum":["s","m"]},
                      "node":{"type":"object","properties":{"n":{"type":"integer"},"next":{"$ref":"#/$defs/node"}},"required":["n"]}}}
            """;
        Assert.Equal(["a.n a.n Integer", "b b Key(s,m)"], Describe(SchemaColumns.Read(Schema)));
    }

    [Fact]
    public void What_gives_no_columns_is_refused()
    {
        Assert.Contains("are no objects", Assert.Throws<ArgumentException>(
            () => SchemaColumns.Read("""{"type":"array","items":{"type":"integer"}}""")).Message, StringComparison.Ordinal);
        Assert.Contains("'a.b'", Assert.Throws<ArgumentException>(() => SchemaColumns.Read("""
            {"type":"object","properties":{"a.b":{"type":"integer"},"a":{"type":"object","properties":{"b":{"type":"integer"}}}}}
            """)).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Values_are_those_of_the_answer()
    {
        AnswerColumn Column(string name, ColumnKind kind, bool isVector = false, params string[] keys) =>
            new(name, name.Split('.'), kind, isVector, keys);
        var values = new AnswerValues(
        [
            Column("t", ColumnKind.Text), Column("i", ColumnKind.Integer), Column("b", ColumnKind.Boolean), Column("s", ColumnKind.Single),
            Column("d", ColumnKind.Double), Column("k", ColumnKind.Key, false, "x", "2"), Column("o.v", ColumnKind.Double, true),
            Column("o.k", ColumnKind.Key, true, "x", "2"),
        ]);
        object[] all = values.Read(
            """{"t":"ü\n","i":-9223372036854775808,"b":true,"s":true,"d":0.1,"k":2,"o":{"v":[1,null,2.5],"k":["x"]}}""");
        Assert.Equal("ü\n", all[0].ToString());
        Assert.Equal([long.MinValue, true, 1f, 0.1, 2u], all[1..6]);
        Assert.Equal([1, double.NaN, 2.5], (double[])all[6]);
        Assert.Equal([1u], (uint[])all[7]);
        foreach (string none in (string[])["", "{}", """{"t":null,"s":null,"d":null,"k":null,"o":null}"""])
        {
            object[] missing = values.Read(none);
            Assert.Equal("", missing[0].ToString());
            Assert.Equal([0L, false, float.NaN, double.NaN, 0u], missing[1..6]);
            Assert.Empty((double[])missing[6]);
            Assert.Empty((uint[])missing[7]);
        }
    }

    private static string[] Describe(IReadOnlyList<AnswerColumn> columns) => [.. columns.Select(column =>
        $"{column.Name} {string.Join('.', column.Path)} {column.Kind}{(column.Keys.Count > 0 ? $"({string.Join(',', column.Keys)})" : "")}"
        + (column.IsVector ? "[]" : ""))];
}
