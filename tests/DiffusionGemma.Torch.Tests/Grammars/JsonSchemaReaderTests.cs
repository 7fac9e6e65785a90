using System.Globalization;
using System.Text.Json;
using Json.Schema;

namespace DiffusionGemma;

/// <summary>
/// Schemas: every text of the grammar is an instance, by a validator that shares no code with it, and known instances are texts of it.
/// </summary>
public class JsonSchemaReaderTests
{
    private static readonly Json.Schema.EvaluationOptions Strict = new() { RequireFormatValidation = true };

    [Theory]
    [InlineData("""{"type":"object","properties":{"a":{"type":"integer"},"b":{"type":"string"}},"required":["a"]}""")]
    [InlineData("""{"type":"object","properties":{"a":{"type":"boolean"},"b":{"type":"null"},"c":{"type":"number"}}}""")]
    [InlineData("""{"type":"string","minLength":2,"maxLength":5}""")]
    [InlineData("""{"type":"string","pattern":"^[a-z]+\\d$","maxLength":4}""")]
    [InlineData("""{"type":"string","pattern":"b\"c"}""")]
    [InlineData("""{"type":"string","format":"date"}""")]
    [InlineData("""{"type":"string","format":"time"}""")]
    [InlineData("""{"type":"string","format":"date-time"}""")]
    [InlineData("""{"type":"string","format":"duration"}""")]
    [InlineData("""{"type":"string","format":"uuid"}""")]
    [InlineData("""{"type":"string","format":"email"}""")]
    [InlineData("""{"type":"string","format":"hostname"}""")]
    [InlineData("""{"type":"string","format":"ipv4"}""")]
    [InlineData("""{"type":"string","format":"uri"}""")]
    [InlineData("""{"type":"integer","minimum":-12,"exclusiveMaximum":134}""")]
    [InlineData("""{"type":"integer","minimum":1.5,"maximum":99,"multipleOf":7}""")]
    [InlineData("""{"type":"number","minimum":-1.25,"maximum":3.5}""")]
    [InlineData("""{"type":"number","exclusiveMinimum":0,"maximum":0.3,"multipleOf":0.01}""")]
    [InlineData("""{"type":"array","items":{"enum":["x","y",3,null,{"k":[1,2]}]},"minItems":2,"maxItems":3}""")]
    [InlineData("""{"type":"array","items":{"type":"integer","minimum":0,"maximum":9}}""")]
    [InlineData("""{"anyOf":[{"type":"integer"},{"type":"string","maxLength":2}]}""")]
    [InlineData("""{"oneOf":[{"const":"on"},{"type":"object","properties":{"l":{"type":"integer","maximum":3}}}]}""")]
    [InlineData("""{"type":["string","null"],"maxLength":3}""")]
    [InlineData("""{"$defs":{"n":{"type":"object","properties":{"v":{"type":"null"},"n":{"$ref":"#/$defs/n"}}}},"$ref":"#/$defs/n"}""")]
    [InlineData("""{"type":"object","properties":{"ä \"q\"/~":{"const":"é\u2028😀"}},"required":["ä \"q\"/~"]}""")]
    public void Every_text_is_an_instance(string schema)
    {
        AnswerGrammar grammar = AnswerGrammar.JsonSchema(schema);
        JsonSchema judge = JsonSchema.FromText(schema);
        var random = new Random(7);
        var texts = new RandomText(grammar.Automaton);
        var seen = new HashSet<string>();
        for (int n = 0; n < 150; n++)
        {
            string text = texts.Draw(random);
            seen.Add(text);
            using JsonDocument instance = JsonDocument.Parse(text);
            // The judge counts a letter and its combining marks as one character; JSON Schema, and the grammar, count code points.
            if (new StringInfo(text).LengthInTextElements == text.EnumerateRunes().Count())
                Assert.True(judge.Evaluate(instance.RootElement, Strict).IsValid, $"{text} is no instance");
            Assert.True(grammar.Accepts(text));
            // One form: what a serialiser makes of the instance is the same text.
            Assert.Equal(text, JsonForm.Write(instance.RootElement));
        }
        Assert.True(seen.Count > 1 || schema.Contains("const", StringComparison.Ordinal));
    }

    [Fact]
    public void Integers_within_bounds_are_those_and_no_others()
    {
        var random = new Random(8);
        for (int n = 0; n < 60; n++)
        {
            int least = random.Next(-250, 250), most = random.Next(least, 300), divisor = random.Next(1, 9);
            AnswerGrammar? grammar = Grammar($$"""{"type":"integer","minimum":{{least}},"maximum":{{most}},"multipleOf":{{divisor}}}""");
            for (int value = -320; value <= 320; value++)
            {
                bool belongs = value >= least && value <= most && value % divisor == 0;
                Assert.True(belongs == (grammar?.Accepts(value.ToString(CultureInfo.InvariantCulture)) ?? false),
                    $"{value} in {least}..{most} by {divisor}");
            }
            Assert.False(grammar?.Accepts("-0") ?? false);
            Assert.False(grammar?.Accepts("007") ?? false);
        }
    }

    [Fact]
    public void Numbers_within_bounds_are_those_and_no_others()
    {
        var random = new Random(9);
        for (int n = 0; n < 80; n++)
        {
            decimal a = random.Next(-4000, 4000) / 100m, b = a + random.Next(0, 3000) / 100m;
            (bool openA, bool openB) = (random.Next(2) == 0, random.Next(2) == 0);
            (string lower, string upper) = (openA ? "exclusiveMinimum" : "minimum", openB ? "exclusiveMaximum" : "maximum");
            string schema = FormattableString.Invariant($$"""{"type":"number","{{lower}}":{{a}},"{{upper}}":{{b}},"multipleOf":0.01}""");
            AnswerGrammar? grammar = Grammar(schema);
            for (int cents = -7200; cents <= 7200; cents += random.Next(1, 12))
            {
                decimal value = cents / 100m;
                bool belongs = (openA ? value > a : value >= a) && (openB ? value < b : value <= b);
                string text = value.ToString("0.##", CultureInfo.InvariantCulture);
                Assert.True(belongs == (grammar?.Accepts(text) ?? false), $"{text} and {schema}");
            }
        }
        AnswerGrammar any = AnswerGrammar.JsonSchema("""{"type":"number"}""");
        foreach (string text in (string[])["0", "-1.5", "123456789012345", "0.000000000000001"]) Assert.True(any.Accepts(text), text);
        foreach (string text in (string[])["-0", "01", "1.", "1.50", ".5", "1e3", "+1", "1234567890123456"])
            Assert.False(any.Accepts(text), text);
    }

    [Fact]
    public void Properties_come_in_order_and_optional_ones_may_be_missing()
    {
        AnswerGrammar grammar = AnswerGrammar.JsonSchema(
            """
            {"type":"object","properties":{"a":{"const":1},"b":{"const":2},"c":{"const":3}},
             "required":["b"],"additionalProperties":false}
            """);
        foreach (string text in (string[])["""{"b":2}""", """{"a":1,"b":2}""", """{"b":2,"c":3}""", """{"a":1,"b":2,"c":3}"""])
            Assert.True(grammar.Accepts(text), text);
        foreach (string text in (string[])["{}", """{"a":1}""", """{"b":2,"a":1}""", """{"b": 2}""", """{"b":2,}""", """{,"b":2}""",
            """{"b":2,"d":4}"""])
            Assert.False(grammar.Accepts(text), text);
    }

    [Fact]
    public void A_type_of_one_s_own()
    {
        AnswerGrammar grammar = AnswerGrammar.Json<Order>();
        foreach (Order order in (Order[])[
            new("Ada", 3, Size.Large, null), new("Zoë \"Z\" O'Neil\n", -1, Size.Small, [1.5, 2]) { Gift = true }, new(
                "", 0, Size.Small, [])])
            Assert.True(grammar.Accepts(JsonSerializer.Serialize(order, JsonForm.Options)), JsonSerializer.Serialize(
                order, JsonForm.Options));
        Assert.False(grammar.Accepts("""{"customer":"Ada","count":3,"size":"Huge","prices":null}"""));
        var random = new Random(10);
        var texts = new RandomText(grammar.Automaton);
        for (int n = 0; n < 100; n++) Assert.NotNull(JsonSerializer.Deserialize<Order>(texts.Draw(random), JsonForm.Options));
    }

    [Fact]
    public void Recursion_ends_at_its_depth()
    {
        const string Schema = """{"type":"object","properties":{"next":{"$ref":"#"}}}""";
        AnswerGrammar grammar = AnswerGrammar.JsonSchema(Schema, new GrammarOptions { RecursionDepth = 2 });
        Assert.True(grammar.Accepts("""{"next":{"next":{"next":{}}}}"""));
        Assert.False(grammar.Accepts("""{"next":{"next":{"next":{"next":{}}}}}"""));
    }

    [Theory]
    [InlineData("[1]", "#")]
    [InlineData("{", null)]
    [InlineData("""{"a":1,"a":2}""", null)]
    [InlineData("{}", "#")]
    [InlineData("""{"type":"thing"}""", "#/type")]
    [InlineData("""{"type":"object","properties":{"a":{"type":"string","format":"iri"}}}""", "#/properties/a/format")]
    [InlineData("""{"type":"object","properties":{"a":{"not":{}}}}""", "#/properties/a/not")]
    [InlineData("""{"type":"object","patternProperties":{}}""", "#/patternProperties")]
    [InlineData("""{"type":"object","properties":{},"additionalProperties":{"type":"string"}}""", "#/additionalProperties")]
    [InlineData("""{"type":"object","properties":{},"required":["x"]}""", "#/required")]
    [InlineData("""{"type":"array"}""", "#")]
    [InlineData("""{"type":"array","items":{"type":"null"},"uniqueItems":true}""", "#/uniqueItems")]
    [InlineData("""{"type":"array","items":{"type":"null"},"minItems":3,"maxItems":2}""", "#")]
    [InlineData("""{"type":"string","pattern":"(?=a)"}""", "#/pattern")]
    [InlineData("""{"type":"string","maxLength":-1}""", "#/maxLength")]
    [InlineData("""{"type":"integer","multipleOf":0.5}""", "#/multipleOf")]
    [InlineData("""{"type":"number","minimum":"1"}""", "#/minimum")]
    [InlineData("""{"type":"number","minimum":1e400}""", "#/minimum")]
    [InlineData("""{"enum":[]}""", "#/enum")]
    [InlineData("""{"enum":["a","a"]}""", "#/enum")]
    [InlineData("""{"oneOf":[{"type":"integer"},{"type":"number"}]}""", "#/oneOf")]
    [InlineData("""{"$ref":"other.json"}""", "#/$ref")]
    [InlineData("""{"$ref":"#/$defs/gone"}""", "#/$ref")]
    [InlineData("""{"allOf":[{"type":"integer"}]}""", "#/allOf")]
    [InlineData("""{"type":"integer","minimum":3,"maximum":2}""", "#")]
    [InlineData("""{"type":"integer","minimum":0.5,"maximum":0.6}""", "#")]
    [InlineData("""{"type":"number","exclusiveMinimum":3,"maximum":3}""", "#")]
    [InlineData("""{"type":"integer","minimum":1e-400}""", "#/minimum")]
    [InlineData("""{"type":"number","minimum":0.1234567890123456789012345678901}""", "#/minimum")]
    [InlineData("""{"enum":[1,1.0]}""", "#/enum")]
    [InlineData("""{"enum":[1e2,100]}""", "#/enum")]
    [InlineData("""{"enum":[1e400]}""", "#/enum")]
    [InlineData("""{"enum":[1,2],"type":"string"}""", "#/enum")]
    [InlineData("""{"oneOf":[{"const":1},{"const":1.0}]}""", "#/oneOf")]
    [InlineData("""{"type":"object","properties":{"\ud800":{"type":"null"}}}""", null)]
    [InlineData("""{"enum":["\udc00"]}""", null)]
    [InlineData("""{"$ref":"#"}""", "#")]
    [InlineData("""{"type":"object","properties":{"n":{"$ref":"#"}},"required":["n"]}""", "#/properties/n")]
    [InlineData("""{"type":"object","properties":{"a":{"type":"string","pattern":"^a$","minLength":2}},"required":["a"]}""",
        "#/properties/a")]
    [InlineData("""{"type":"object","properties":{"a":false},"required":["a"]}""", "#/properties/a")]
    [InlineData("""{"type":"array","minItems":1,"items":{"type":"string","format":"date","maxLength":9}}""", "#/items")]
    public void What_is_not_read_is_refused_by_its_path(string schema, string? path)
    {
        GrammarException fault = Assert.Throws<GrammarException>(() => AnswerGrammar.JsonSchema(schema));
        Assert.Equal(path, fault.Path);
    }

    [Theory]
    [InlineData("""{"const":1.50}""", "1.5")]
    [InlineData("""{"const":-0}""", "0")]
    [InlineData("""{"enum":[1E3,2]}""", "1000")]
    [InlineData("""{"const":[{"a":2.50e-3}]}""", """[{"a":0.0025}]""")]
    public void Values_are_written_in_the_one_form(string schema, string text) =>
        Assert.True(AnswerGrammar.JsonSchema(schema).Accepts(text));

    [Fact]
    public void An_open_side_reaches_beyond_a_large_bound()
    {
        Assert.True(AnswerGrammar.JsonSchema("""{"type":"integer","minimum":1e20}""").Accepts("100000000000000000001"));
        Assert.True(AnswerGrammar.JsonSchema("""{"type":"integer","maximum":-1e20}""").Accepts("-100000000000000000001"));
    }

    [Fact]
    public void Deep_nesting_costs_as_much_as_it_is_long()
    {
        string schema = """{"type":"boolean"}""";
        for (int depth = 0; depth < 40; depth++)
            schema = """{"type":"object","properties":{"a":{"type":"array","maxItems":1,"items":""" + schema + "}}}";
        AnswerGrammar grammar = AnswerGrammar.JsonSchema(schema);
        string text = "true";
        for (int depth = 0; depth < 40; depth++) text = $"{{\"a\":[{text}]}}";
        Assert.True(grammar.Accepts(text) && grammar.Accepts("""{"a":[{"a":[]}]}"""));
        Assert.False(grammar.Accepts("""{"a":[{"b":[]}]}"""));
    }

    [Fact]
    public void References_to_each_other_share_one_depth()
    {
        const string Schema =
            """
            {"$ref":"#/$defs/a","$defs":{"a":{"type":"object","properties":{"b":{"$ref":"#/$defs/b"}}},
             "b":{"type":"object","properties":{"a":{"$ref":"#/$defs/a"}}}}}
            """;
        AnswerGrammar grammar = AnswerGrammar.JsonSchema(Schema, new GrammarOptions { RecursionDepth = 2 });
        Assert.True(grammar.Accepts("""{"b":{"a":{"b":{}}}}"""));
        Assert.False(grammar.Accepts("""{"b":{"a":{"b":{"a":{}}}}}"""));
    }

    [Fact]
    public void Too_many_states_name_their_part()
    {
        const string Schema =
            """
            {"type":"object","required":["small","large"],
             "properties":{"small":{"type":"boolean"},"large":{"type":"string","maxLength":400}}}
            """;
        GrammarException fault = Assert.Throws<GrammarException>(
            () => AnswerGrammar.JsonSchema(Schema, new GrammarOptions { MostStates = 500 }));
        Assert.Contains("500", fault.Message, StringComparison.Ordinal);
        Assert.Contains("large", fault.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Labels()
    {
        AnswerGrammar grammar = AnswerGrammar.OneOf("no", "north", "süd");
        Assert.True(grammar.Accepts("no") && grammar.Accepts("north") && grammar.Accepts("süd"));
        Assert.False(grammar.Accepts("nor") || grammar.Accepts(""));
        Assert.Equal("süd", AnswerGrammar.Create(grammar.Kind, grammar.Source).Labels[2]);
        Assert.Throws<GrammarException>(() => AnswerGrammar.OneOf());
        Assert.Throws<GrammarException>(() => AnswerGrammar.OneOf("a", ""));
        Assert.Contains("surrogate", Assert.Throws<GrammarException>(() => AnswerGrammar.OneOf("a\ud800")).Message,
            StringComparison.Ordinal);
        Assert.Contains("twice", Assert.Throws<GrammarException>(() => AnswerGrammar.OneOf("a", "a")).Message, StringComparison.Ordinal);
    }

    private static AnswerGrammar? Grammar(string schema)
    {
        try
        {
            return AnswerGrammar.JsonSchema(schema);
        }
        catch (GrammarException e) when (e.Path is "#")
        {
            return null;                                                                     // nothing lies within the bounds
        }
    }

    private sealed record Order(string Customer, int Count, Size Size, double[]? Prices)
    {
        public bool Gift { get; init; }
    }

    private enum Size
    {
        Small,
        Large,
    }
}
