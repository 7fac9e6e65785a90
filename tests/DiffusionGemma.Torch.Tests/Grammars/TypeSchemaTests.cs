using System.Text.Json;
using System.Text.Json.Serialization;

namespace DiffusionGemma;

/// <summary>Types: what their grammar allows is read by System.Text.Json, and what it writes of a value is allowed.</summary>
public class TypeSchemaTests
{
    private static readonly JsonSerializerOptions Web = JsonSerializerOptions.Web;

    private static readonly JsonSerializerOptions SnakeCase = new()
    {
        PropertyNamingPolicy = JsonNamingPolicy.SnakeCaseLower,
        Converters = { new JsonStringEnumConverter(JsonNamingPolicy.KebabCaseLower) },
    };

    [Fact]
    public void Every_text_is_read_and_written_again()
    {
        Check<Holder<DateTime>>();
        Check<Holder<DateTimeOffset>>();
        Check<Holder<DateOnly>>();
        Check<Holder<TimeOnly>>();
        Check<Holder<TimeSpan>>();
        Check<Holder<Guid>>();
        Check<Holder<Uri>>();
        Check<Holder<char>>();
        Check<Holder<byte[]>>();
        Check<Holder<Memory<byte>>>();
        Check<Holder<Version>>();
        Check<Holder<Half>>();
        Check<Holder<UInt128>>();
        Check<Holder<Int128>>();
        Check<Holder<sbyte?>>();
        Check<Holder<ulong>>();
        Check<Holder<decimal>>();
        Check<Holder<Color>>();
        Check<Holder<Color?>>();
        Check<Holder<Color>>(Web);
        Check<Holder<Color?>>(Web);
        Check<Holder<int>>(Web);
        Check<Holder<Color>>(SnakeCase);
        Check<Holder<Animal>>();
        Check<Holder<List<Tree>>>(grammar: new GrammarOptions { RecursionDepth = 1 });
        Check<Named>();
    }

    [Fact]
    public void Numbers_are_written_without_exponents_and_trailing_zeros()
    {
        foreach (double value in (double[])[1e14, -2.5e-7, 3, 1234567.25, 1e-10])
            Assert.True(AnswerGrammar.Json<Holder<double>>().Accepts(AnswerGrammar.WriteJson(new Holder<double>(value))), $"{value}");
        foreach (float value in (float[])[8.6345337E+12f, 1e-7f, 0.1f])
            Assert.True(AnswerGrammar.Json<Holder<float>>().Accepts(AnswerGrammar.WriteJson(new Holder<float>(value))), $"{value}");
        Assert.Equal("""{"value":1.5}""", AnswerGrammar.WriteJson(new Holder<decimal>(1.50m)));
        Assert.Equal("""{"value":"1.50, 1E+5 \"2.0\" \\"}""", AnswerGrammar.WriteJson(new Holder<string>("1.50, 1E+5 \"2.0\" \\")));
    }

    [Fact]
    public void Times_without_an_offset_are_allowed()
    {
        AnswerGrammar grammar = AnswerGrammar.Json<Holder<DateTime>>();
        foreach (DateTimeKind kind in Enum.GetValues<DateTimeKind>())
        {
            var value = DateTime.SpecifyKind(new DateTime(2026, 2, 28, 1, 2, 3).AddTicks(1234567), kind);
            Assert.True(grammar.Accepts(AnswerGrammar.WriteJson(new Holder<DateTime>(value))), $"{kind}");
        }
    }

    [Fact]
    public void Types_without_a_grammar_are_refused_by_name()
    {
        Refuses<Holder<Bits>>("#/properties/value", "[Flags]");
        Refuses<Holder<Dictionary<string, int>>>("#/properties/value/additionalProperties", "any name");
        Refuses<Holder<object>>("#/properties/value", "any value");
        Refuses<Holder<Action>>("#/properties/value", "Action");
        Refuses<Holder<int[,]>>("#/properties/value", "Int32[,]");
        GrammarException fault = Assert.Throws<GrammarException>(
            () => AnswerGrammar.Json<Holder<int>>(new JsonSerializerOptions { ReferenceHandler = ReferenceHandler.Preserve }));
        Assert.Contains("ReferenceHandler", fault.Message, StringComparison.Ordinal);
    }

    private static void Check<T>(JsonSerializerOptions? serializer = null, GrammarOptions? grammar = null)
    {
        AnswerGrammar answers = AnswerGrammar.Json<T>(serializer, grammar);
        var texts = new RandomText(answers.Automaton);
        var random = new Random(11);
        for (int n = 0; n < 60; n++)
        {
            string text = texts.Draw(random, n);
            T value = JsonSerializer.Deserialize<T>(text, serializer ?? AnswerGrammar.Serializer)!;
            string again = AnswerGrammar.WriteJson(value, serializer);
            Assert.True(answers.Accepts(again), $"{text} -> {again}");
        }
    }

    private static void Refuses<T>(string path, string words)
    {
        GrammarException fault = Assert.Throws<GrammarException>(() => AnswerGrammar.Json<T>());
        Assert.Equal(path, fault.Path);
        Assert.Contains(words, fault.Message, StringComparison.Ordinal);
    }

    private sealed record Holder<T>(T Value);

    private enum Color
    {
        Red = 1,
        DeepBlue = 7,
    }

    [Flags]
    private enum Bits
    {
        A = 1,
        B = 2,
    }

    [JsonPolymorphic(TypeDiscriminatorPropertyName = "kind")]
    [JsonDerivedType(typeof(Cat), "cat")]
    [JsonDerivedType(typeof(Dog), "dog")]
    private abstract record Animal;

    private sealed record Cat(int Lives) : Animal;

    private sealed record Dog(bool? Good) : Animal;

    private sealed record Tree(bool Leaf, Tree? Left, List<Tree>? Rest);

    private sealed class Named
    {
        [JsonPropertyName("weird \"näme\"\n")]
        public required int Number { get; set; }

        [JsonIgnore]
        public string? Hidden { get; set; }

        public string? Optional { get; init; }
    }
}
