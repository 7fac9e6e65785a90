using System.Text;

namespace DiffusionGemma;

/// <summary>Schemas and patterns that come with a request, or in a saved model.</summary>
public sealed class GrammarFuzzTests
{
    /// <summary>Bytes that an automaton of the most states takes while it is made, in tables that become garbage.</summary>
    private const long FixedBytes = 256L << 20;

    private static readonly string[] Schemas =
    [
        """
        {"type":"object","required":["name","tags"],"additionalProperties":false,"properties":{"name":{"type":"string","minLength":1,
         "maxLength":20,"pattern":"^[A-Z][a-z]+$"},"tags":{"type":"array","items":{"enum":["a","b",3,null,true]},"minItems":1,"maxItems":3},
         "size":{"type":"number","minimum":-1.5,"exclusiveMaximum":99.25},"count":{"type":"integer","multipleOf":5}}}
        """,
        """
        {"$defs":{"node":{"type":"object","properties":{"next":{"anyOf":[{"$ref":"#/$defs/node"},{"type":"null"}]},
         "day":{"type":"string","format":"date"}}}},"$ref":"#/$defs/node"}
        """,
        """{"oneOf":[{"type":"object","properties":{"k":{"const":"x"}},"required":["k"]},{"type":"array","items":{"type":"boolean"}}]}""",
    ];

    private static readonly string[] Patterns =
    [
        @"(?:[A-Z]{2,4}-\d{3}|\p{L}+(?:'s)?) ?[^\s,.;]{0,12}", @"^(\d{4})-(0[1-9]|1[0-2])-([0-2]\d|3[01])$",
        @"(a|b)*c?(de){2,3}[\u0041-\x5A]",
    ];

    private static readonly string[] PatternPieces =
    [
        "(", ")", "[", "]", "{", "}", "{1,1000}", "{99999999999}", "*", "+", "?", "|", "^", "$", ".", "\\", "\\d", "\\p{L}", "\\u{10FFFF}",
        "\\1", "(?=a)", "(?<n>", "[^", "-", "\ud800", "🙂", "(a*)*", "((((((((((((((((((((", "\0", "\\b", "\\cA", "(.{100}){100}",
    ];

    [Fact]
    public void Broken_schemas_fail_only_with_the_typed_error() => new MutationFuzzer
    {
        Name = "schema", FixedBytes = FixedBytes, Mutations = 1_000,                          // each is compiled to an automaton
        Make = random => Mutations.OfJsonText(random, Schemas[random.Next(Schemas.Length)]),
        Read = bytes => Compile(() => AnswerGrammar.JsonSchema(Encoding.UTF8.GetString(bytes))),
    }.Run();

    [Fact]
    public void Broken_patterns_fail_only_with_the_typed_error() => new MutationFuzzer
    {
        Name = "pattern", FixedBytes = FixedBytes, Mutations = 300,                         // each is compiled to an automaton
        Make = random => Encoding.UTF8.GetBytes(
            Mutations.OfText(random, Patterns[random.Next(Patterns.Length)], PatternPieces)),
        Read = bytes => Compile(() => AnswerGrammar.Regex(Encoding.UTF8.GetString(bytes))),
    }.Run();

    private static void Compile(Func<AnswerGrammar> make)
    {
        try
        {
            make().Accepts("{\"name\":\"Ada\",\"tags\":[\"a\"]}");
        }
        catch (GrammarException e)
        {
            Assert.NotEmpty(e.Message);
        }
    }
}
