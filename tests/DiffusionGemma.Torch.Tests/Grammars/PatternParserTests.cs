using System.Text;
using System.Text.RegularExpressions;

namespace DiffusionGemma;

/// <summary>Patterns, against .NET's regular expressions as the judge, and what is refused.</summary>
public class PatternParserTests
{
    [Fact]
    public void Drawn_patterns_accept_what_dotnet_matches()
    {
        var random = new Random(11);
        int accepted = 0;
        for (int n = 0; n < 300; n++)
        {
            string pattern = Pattern(random, 3);
            AnswerGrammar grammar;
            try
            {
                grammar = AnswerGrammar.Regex(pattern, new GrammarOptions { MostStates = 500 });
            }
            catch (GrammarException e) when (e.Message.Contains("no answer at all", StringComparison.Ordinal) || e.Message.Contains(
                "states", StringComparison.Ordinal))
            {
                continue;
            }
            var judge = new Regex($"^(?:{pattern})$(?!\n)", RegexOptions.CultureInvariant);
            for (int k = 0; k < 60; k++)
            {
                string text = string.Concat(Enumerable.Range(0, random.Next(0, 6)).Select(_ => "abc-1 \n"[random.Next(7)]));
                Assert.True(judge.IsMatch(text) == grammar.Accepts(text), $"{pattern} and '{text}'");
                accepted += grammar.Accepts(text) ? 1 : 0;
            }
        }
        Assert.True(accepted > 500, $"only {accepted} texts were accepted at all");
    }

    [Theory]
    [InlineData(@"\d{1,3}", "7,42,199", "a,1234,")]
    [InlineData(@"[^a-z\d]+", "A-Z,é,€😀", "a,A1")]
    [InlineData(@"\u00e9|\u{1F600}|\uD83D\uDE01", "é,😀,😁", "e,😂")]
    [InlineData(@".", "x,😀,\"", "\n,xy")]
    [InlineData(@"\p{Lu}\p{Ll}*", "Äß,Zoo", "zoo,1")]
    [InlineData(@"[\]\-\\^]", "],-,\\,^", "a")]
    [InlineData(@"(?<year>\d{4})-(?:0[1-9])", "2026-09", "2026-10")]
    [InlineData(@"a{2}b{1,}c{0,2}?", "aab,aabbcc", "ab,aabccc")]
    [InlineData(@"", "", "a")]
    [InlineData(@"a|", "a,", "b")]
    [InlineData(@"#@&~<>", "#@&~<>", "#")]
    [InlineData(@"^ab$", "ab", "b")]
    public void Known_patterns(string pattern, string accepted, string refused)
    {
        AnswerGrammar grammar = AnswerGrammar.Regex(pattern);
        foreach (string text in accepted.Split(',')) Assert.True(grammar.Accepts(text), $"'{text}' should be accepted");
        foreach (string text in refused.Split(',')) Assert.False(grammar.Accepts(text), $"'{text}' should be refused");
    }

    [Fact]
    public void A_search_matches_anywhere_but_at_its_anchors()
    {
        static bool Finds(string pattern, string text) =>
            LanguageCompiler.Compile(CharacterEncoding.Utf8(PatternParser.Parse(pattern, isSearch: true)), 1000).Accepts(text);
        Assert.True(Finds("b", "abc"));
        Assert.False(Finds("^b", "abc"));
        Assert.True(Finds("^a|c$", "abc"));
        Assert.False(Finds("b$", "abc"));
    }

    [Theory]
    [InlineData("a(?=b)", "looks ahead")]
    [InlineData("(?<!a)b", "looks behind")]
    [InlineData(@"(a)\1", "by number")]
    [InlineData(@"(?<x>a)\k<x>", "by name")]
    [InlineData(@"\bword", "word boundary")]
    [InlineData("(a", "without its ')'")]
    [InlineData("a)", "without its '('")]
    [InlineData("[a", "ends too early")]
    [InlineData("*a", "nothing to repeat")]
    [InlineData("a**", "repeats a repetition")]
    [InlineData("a{3,1}", "at least 3 and at most 1")]
    [InlineData("a{x}", "no {n}")]
    [InlineData("a{99999}", "more than")]
    [InlineData("a{99999999999999999999}", "more than")]
    [InlineData("[z-a]", "backwards")]
    [InlineData(@"\q", "unknown escape")]
    [InlineData(@"\ud800", "surrogates")]
    [InlineData(@"\p{Script=Greek}", "general categories")]
    [InlineData("a^b", "anchors")]
    [InlineData("[]", "no answer at all")]
    [InlineData("(?i)a", "unknown kind")]
    public void What_is_not_read_is_refused_by_name(string pattern, string fault) =>
        Assert.Contains(fault, Assert.Throws<GrammarException>(() => AnswerGrammar.Regex(pattern)).Message, StringComparison.Ordinal);

    [Fact]
    public void Nesting_and_size_have_limits()
    {
        string deep = new string('(', 100_000) + "a" + new string(')', 100_000);
        Assert.Contains("deep", Assert.Throws<GrammarException>(() => AnswerGrammar.Regex(deep)).Message, StringComparison.Ordinal);
        // The classic of subset constructions: 2^25 states.
        Assert.Contains(
            "20,000 states", Assert.Throws<GrammarException>(() => AnswerGrammar.Regex("(a|b)*a(a|b){25}")).Message,
                StringComparison.Ordinal);
        Assert.Contains("states", Assert.Throws<GrammarException>(() => AnswerGrammar.Regex("((a{1,1000}){1,1000}){1,1000}")).Message,
            StringComparison.Ordinal);
        Assert.Contains("surrogate", Assert.Throws<GrammarException>(() => AnswerGrammar.Regex("a\udfff")).Message,
            StringComparison.Ordinal);
        // Few states, each of which stands for thousands: the sets have a limit too.
        Assert.Contains("states", Assert.Throws<GrammarException>(
            () => AnswerGrammar.Regex("(.{0,300}){0,10}", new GrammarOptions { MostStates = 2000 })).Message, StringComparison.Ordinal);
    }

    /// <summary>A request may bring such a pattern; 1.4 GB were allocated for it.</summary>
    [Fact]
    public void Sixty_letters_of_any_script_are_compiled_in_bounded_memory()
    {
        long bytes = GC.GetAllocatedBytesForCurrentThread();
        AnswerGrammar grammar = AnswerGrammar.Regex(@"\p{L}{0,60}");
        bytes = GC.GetAllocatedBytesForCurrentThread() - bytes;
        Assert.True(grammar.Accepts("Überγλώσσα日本語"));
        Assert.True(bytes < 200_000_000, $"{bytes:N0} bytes");
    }

    /// <summary>
    /// Patterns of a request that ask for much: compiled, or refused before they have cost more than a second or two. What they allocate
    /// goes with what they compute, and is the same on each machine.
    /// </summary>
    [Theory]
    [InlineData(@"(?:[A-Z]{2,4}\u{10FFFF}\d{3}|\p{L}+(?:'s)?\p{L}) ?[^\s,.;]{0,12}", "Ada 'hat'", 150)]
    [InlineData(@"(\p{L}|\p{N})*\p{Lu}(\p{L}|\p{N}){6}", null, 150)]
    [InlineData(@"((((.?){10}){10}){10}){10}", null, 250)]
    public void A_costly_pattern_is_compiled_or_refused_in_bounded_work(string pattern, string? accepted, int megabytes)
    {
        long bytes = GC.GetAllocatedBytesForCurrentThread();
        if (accepted is null) Assert.Contains(
            "20,000 states", Assert.Throws<GrammarException>(() => AnswerGrammar.Regex(pattern)).Message, StringComparison.Ordinal);
        else Assert.True(AnswerGrammar.Regex(pattern).Accepts(accepted));
        bytes = GC.GetAllocatedBytesForCurrentThread() - bytes;
        Assert.True(bytes < megabytes * 1_000_000L, $"{bytes:N0} bytes");
    }

    /// <summary>Parts that are small by themselves, and many: together they have a limit. 7.4 GB were allocated for it.</summary>
    [Fact]
    public void Alternatives_that_are_costly_together_are_refused()
    {
        string pattern = string.Join('|', Enumerable.Range(2, 60).Select(most => $@"(\p{{L}}{{1,{most}}}x)*"));
        long bytes = GC.GetAllocatedBytesForCurrentThread();
        Assert.Contains("states", Assert.Throws<GrammarException>(() => AnswerGrammar.Regex(pattern)).Message, StringComparison.Ordinal);
        bytes = GC.GetAllocatedBytesForCurrentThread() - bytes;
        Assert.True(bytes < 1_000_000_000, $"{bytes:N0} bytes");
    }

    private static string Pattern(Random random, int depth)
    {
        if (depth == 0)
            return random.Next(8) switch { 0 => "[ab]", 1 => "[^a]", 2 => @"\d", 3 => ".", 4 => @"\s", 5 => "b", 6 => "-", _ => "a" };
        var pattern = new StringBuilder();
        for (int n = random.Next(1, 4); n > 0; n--)
        {
            string item = Pattern(random, depth - 1);
            pattern.Append(random.Next(8) switch
            {
                0 => $"(?:{item})*",
                1 => $"(?:{item})+",
                2 => $"(?:{item})?",
                3 => $"(?:{item}){{1,2}}",
                4 => $"({item}|{Pattern(random, depth - 1)})",
                5 => $"(?:{item}){{2,}}?",
                _ => item,
            });
        }
        return pattern.ToString();
    }
}
