using System.Text;
using System.Text.Json;

namespace DiffusionGemma;

/// <summary>Tool calls as a language over bytes and control tokens.</summary>
public sealed class CallGrammarTests
{
    private const int Open = 48, Close = 49, Quote = 52, Response = 50;
    private static readonly CallSyntax Syntax = new(Open, Close, Quote, Response);

    private static readonly CallableTool Weather = new("weather", """
        {"type":"object","required":["city"],"properties":{
          "days":{"type":"integer","minimum":1,"maximum":9},"city":{"type":"string","maxLength":5},
          "Units":{"enum":["metric","us"]},"at":{"type":"object","properties":{"x":{"type":"number"}}}}}
        """);

    /// <summary>Texts as bytes; markers as tokens.</summary>
    private static readonly (string Text, int Id)[] Markers =
    [
        ("<|tool_call>", Open), ("<tool_call|>", Close), ("<|\"|>", Quote), ("<|tool_response>", Response), ("<|channel>", 98),
        ("<channel|>", 99),
    ];

    [Theory]
    [InlineData("<|tool_call>call:weather{city:<|\"|>Oslo<|\"|>}<tool_call|>", true)]
    [InlineData("<|tool_call>call:weather{at:{x:1.5},city:<|\"|>a\"}<|\"|>,days:3,Units:<|\"|>us<|\"|>}<tool_call|><|tool_response>", true)]
    [InlineData("<|tool_call>call:weather{city:<|\"|>a<|\"|>}<tool_call|><|tool_call>call:now{}<tool_call|>", true)]
    [InlineData("""{"a":1}""", true)]
    [InlineData("""{"a":1}<|tool_call>call:now{}<tool_call|>""", false)]
    [InlineData("<|tool_call>call:weather{}<tool_call|>", false)]
    [InlineData("<|tool_call>call:weather{city:<|\"|>Trondheim<|\"|>}<tool_call|>", false)]
    [InlineData("<|tool_call>call:weather{city:\"Oslo\"}<tool_call|>", false)]
    [InlineData("<|tool_call>call:weather{days:3,city:<|\"|>Oslo<|\"|>}<tool_call|>", false)]
    [InlineData("<|tool_call>call:weather{city:<|\"|>Oslo<|\"|>,days:10}<tool_call|>", false)]
    [InlineData("<|tool_call>call:wether{city:<|\"|>Oslo<|\"|>}<tool_call|>", false)]
    [InlineData("<|tool_call>call:now{}", false)]
    [InlineData("<|tool_response>", false)]
    public void An_answer_is_an_instance_or_calls(string answer, bool isAnswer)
    {
        AnswerGrammar grammar = AnswerGrammar.JsonSchema("""{"type":"object","properties":{"a":{"type":"integer"}},"required":["a"]}""")
            .WithCalls([Weather, new CallableTool("now", """{"type":"object"}""")], Syntax);
        Assert.Equal(isAnswer, Accepts(grammar, answer));
        // A thought may come before either.
        Assert.Equal(isAnswer, Accepts(grammar.WithThought(98, 99), "<|channel>thought\nhm<channel|>" + answer));
    }

    [Theory]
    [InlineData("Let me see.", true, false)]
    [InlineData("", true, false)]
    [InlineData("Let me see.<|tool_call>call:now{}<tool_call|>", true, false)]
    [InlineData("<|tool_call>call:now{}<tool_call|>", true, true)]
    [InlineData("<|tool_call>call:now{}<tool_call|><|tool_call>call:now{}<tool_call|>", false, false)]
    [InlineData("<|tool_call>call:now{}<tool_call|>and more", false, false)]
    public void A_text_may_stand_before_a_call_unless_one_is_required(string answer, bool free, bool required)
    {
        CallableTool[] tools = [new("now", """{"type":"object"}""")];
        Assert.Equal(free, Accepts(AnswerGrammar.AnyText.WithCalls(tools, Syntax, several: false), answer));
        Assert.Equal(required, Accepts(AnswerGrammar.AnyText.WithCalls(tools, Syntax, required: true, several: false), answer));
    }

    /// <summary>A schema that no grammar holds leaves the arguments free, and the call's form stays.</summary>
    [Theory]
    [InlineData("""{"type":"object","properties":{"a":{}}}""")]
    [InlineData("""{"type":"object","properties":{"a b":{"type":"integer"}}}""")]
    [InlineData("""{"type":"object","properties":{"a":{"type":"string","minLength":100000}}}""")]
    [InlineData("""{"type":"object","required":["a"],"properties":{"a":{"type":"integer","minimum":2,"maximum":1}}}""")]
    public void Other_schemas_leave_arguments_free(string schema)
    {
        AnswerGrammar grammar = AnswerGrammar.AnyText.WithCalls([new CallableTool("f", schema)], Syntax, required: true);
        Assert.True(Accepts(grammar, "<|tool_call>call:f{a b:[1,{x:<|\"|>y<|\"|>}]}<tool_call|>"));
        Assert.False(Accepts(grammar, "<|tool_call>call:g{}<tool_call|>"));
    }

    [Theory]
    [InlineData("a<|\"|b", true)]
    [InlineData("a<|\"|>b", false)]
    [InlineData("<<|\"|>", false)]
    [InlineData("<|<|\"|", true)]
    public void A_text_does_not_spell_the_quote_out(string text, bool isAllowed)
    {
        AnswerGrammar grammar = AnswerGrammar.AnyText.WithCalls(
            [new CallableTool("f", """{"type":"object","properties":{"s":{"type":"string"}}}""")], Syntax, required: true);
        int state = Walk(grammar.Automaton, grammar.Automaton.Start, "<|tool_call>call:f{s:<|\"|>");
        state = Encoding.UTF8.GetBytes(text).Aggregate(state, (at, symbol) => at < 0 ? -1 : grammar.Automaton.Next(at, symbol));
        Assert.Equal(isAllowed, state >= 0 && Walk(grammar.Automaton, state, "<|\"|>}<tool_call|>") >= 0);
    }

    [Fact]
    public void Calls_are_told_apart_and_not_saved()
    {
        AnswerGrammar one = AnswerGrammar.AnyText.WithCalls([Weather], Syntax), other = AnswerGrammar.AnyText.WithCalls([Weather], Syntax);
        Assert.True(one.IsSame(other));
        Assert.False(one.IsSame(AnswerGrammar.AnyText));
        Assert.False(one.IsSame(AnswerGrammar.AnyText.WithCalls([Weather], Syntax, required: true)));
        Assert.Throws<NotSupportedException>(() => JsonSerializer.Serialize(one));
        Assert.Throws<ArgumentException>(() => AnswerGrammar.AnyText.WithCalls([], Syntax));
        Assert.Throws<ArgumentException>(() => AnswerGrammar.AnyText.WithThought(98, 99).WithCalls([Weather], Syntax));
        AnswerGrammar thinking = AnswerGrammar.OneOf("a", "b").WithThought(98, 99, isOpen: true);
        AnswerGrammar again = JsonSerializer.Deserialize<AnswerGrammar>(JsonSerializer.Serialize(thinking))!;
        Assert.True(thinking.IsSame(again));
    }

    private static bool Accepts(AnswerGrammar grammar, string answer) =>
        Walk(grammar.Automaton, grammar.Automaton.Start, answer) is >= 0 and var state && grammar.Automaton.Answers[state] >= 0;

    private static int Walk(ByteAutomaton automaton, int state, string text)
    {
        for (int at = 0; at < text.Length && state >= 0;)
        {
            (string marker, int id) = Markers.FirstOrDefault(one => string.CompareOrdinal(text, at, one.Text, 0, one.Text.Length) == 0);
            if (marker is not null)
            {
                int symbol = automaton.SpecialTokens.ToList().IndexOf(id);
                state = symbol < 0 ? -1 : automaton.Next(state, ByteAutomaton.Bytes + symbol);
                at += marker.Length;
                continue;
            }
            int length = char.IsSurrogatePair(text, at) ? 2 : 1;
            foreach (byte symbol in Encoding.UTF8.GetBytes(text.Substring(at, length)))
                state = state < 0 ? -1 : automaton.Next(state, symbol);
            at += length;
        }
        return state;
    }
}
