using Microsoft.Extensions.AI;

namespace DiffusionGemma;

public class GemmaOutputParserTests
{
    private const string Full = "<|channel>thought\nRain, <b>perhaps</b>?\n<channel|>Let me look < there.<|tool_call>call:weather{city:<|\"|>Os<tool_call|>lo<|\"|>,days:3}<tool_call|> Done.<turn|>never";

    [Fact]
    public void Reasoning_text_and_calls_are_told_apart_and_no_marker_is_left()
    {
        AIContent[] contents = Parse([Full]);
        Assert.Equal("Rain, <b>perhaps</b>?\n", Assert.IsType<TextReasoningContent>(contents[0]).Text);
        Assert.Equal("Let me look < there.", Assert.IsType<TextContent>(contents[1]).Text);
        var call = Assert.IsType<FunctionCallContent>(contents[2]);
        Assert.Equal(("weather", "Os<tool_call|>lo", 3L), (call.Name, call.Arguments!["city"], call.Arguments["days"]));
        Assert.Equal(" Done.", Assert.IsType<TextContent>(contents[3]).Text);
        Assert.Equal(4, contents.Length);
    }

    /// <summary>However the characters are cut into pieces, put together the contents are the same.</summary>
    [Fact]
    public void Pieces_of_any_lengths_give_the_same()
    {
        string whole = Describe(Parse([Full]));
        var random = new Random(5);
        for (int n = 0; n < 500; n++)
        {
            var pieces = new List<string>();
            for (int at = 0; at < Full.Length;)
            {
                int length = Math.Min(Full.Length - at, random.Next(1, n % 2 == 0 ? 3 : 30));
                pieces.Add(Full.Substring(at, length));
                at += length;
            }
            Assert.Equal(whole, Describe(Parse(pieces)));
        }
    }

    /// <summary>Markers and their halves in any order: nothing is thrown, and no whole marker becomes text.</summary>
    [Fact]
    public void Whatever_comes_no_marker_becomes_text()
    {
        string[] parts = ["<|channel>", "<channel|>", "<|tool_call>", "<tool_call|>", "<|\"|>", "call:f{", "a:1", "}", "{", "thought\n", "text", "<|chan", "<tool_", "\n", "\"", ",", ":", "日本", "<|tool_response>", "<|turn>"];
        string[] markers = ["<|channel>", "<channel|>", "<|tool_call>", "<tool_call|>", "<|tool_response>", "<turn|>", "<|turn>"];
        var random = new Random(6);
        for (int n = 0; n < 5000; n++)
        {
            AIContent[] contents = Parse(Enumerable.Range(0, random.Next(1, 12)).Select(_ => parts[random.Next(parts.Length - (n % 3 == 0 ? 0 : 2))]));
            string text = string.Concat(contents.OfType<TextContent>().Select(c => c.Text));
            Assert.All(markers, marker => Assert.DoesNotContain(marker, text, StringComparison.Ordinal));
        }
    }

    [Theory]
    [InlineData("call:f{}", "f()")]
    [InlineData("call:f{a:1,b:-2.5,c:true,d:false,e:null}", "f(a=1,b=-2.5,c=True,d=False,e=)")]
    [InlineData("call:ns.f-g{<|\"|>a b<|\"|>:<|\"|>x,y:{z}<|\"|>}", "ns.f-g(a b=x,y:{z})")]
    [InlineData("f{\"a\": \"x\\\"y\\n\", b : [1, <|\"|>two<|\"|>, {c:[ ]}] }", "f(a=x\"y\n,b=[1,two,{c:[]}])")]
    [InlineData(" call:f {a:1e20} ", "f(a=1E+20)")]
    public void Arguments_are_read(string call, string expected)
    {
        (string name, Dictionary<string, object?> arguments) = GemmaToolCall.Parse(call);
        Assert.Equal(expected, $"{name}({string.Join(',', arguments.Select(a => $"{a.Key}={Show(a.Value)}"))})");
    }

    [Theory]
    [InlineData("call:f", "no arguments")]
    [InlineData("call:{a:1}", "no function name")]
    [InlineData("call:f{a:}", "'' is no value")]
    [InlineData("call:f{a:1", "',' is expected where it ends")]
    [InlineData("call:f{a:1}}", "the end is expected")]
    [InlineData("call:f{a:<|\"|>x}", "a text does not end")]
    [InlineData("call:f{a:nan}", "'nan' is no value")]
    [InlineData("call:f{:1}", "a key is expected")]
    public void What_is_no_call_says_why(string call, string reason)
    {
        Assert.Contains(reason, Assert.Throws<FormatException>(() => GemmaToolCall.Parse(call)).Message, StringComparison.Ordinal);
        var error = Assert.IsType<ErrorContent>(Assert.Single(Parse([$"<|tool_call>{call}" + (call.Contains("<|\"|>x", StringComparison.Ordinal) ? "" : "<tool_call|>")])));
        Assert.Equal(call, error.Details);
    }

    [Fact]
    public void Nesting_is_bounded() =>
        Assert.Contains("nested deeper", Assert.Throws<FormatException>(() => GemmaToolCall.Parse("f{a:" + new string('[', 100_000))).Message, StringComparison.Ordinal);

    [Fact]
    public void A_call_begins_where_reasoning_has_not_ended()
    {
        AIContent[] contents = Parse(["<|channel>thought\nhm<|tool_call>call:f{}<tool_call|>"]);
        Assert.Equal(["hm", "f"], contents.Select(c => c is TextReasoningContent r ? r.Text : ((FunctionCallContent)c).Name));
    }

    private static AIContent[] Parse(IEnumerable<string> pieces)
    {
        var parser = new GemmaOutputParser();
        return [.. pieces.SelectMany(parser.Append), .. parser.Flush()];
    }

    private static string Describe(AIContent[] contents)
    {
        var told = new System.Text.StringBuilder();
        string kind = "";
        foreach (AIContent content in contents)
        {
            (string now, string text) = content switch
            {
                TextReasoningContent r => ("reasoning", r.Text),
                TextContent t => ("text", t.Text),
                FunctionCallContent c => ("call", c.Name + string.Join(',', c.Arguments!.Select(a => a.Key + a.Value))),
                _ => ("other", content.ToString() ?? ""),
            };
            told.Append(now == kind ? "" : $"[{now}]").Append(text);
            kind = now;
        }
        return told.ToString();
    }

    private static string Show(object? value) => value switch
    {
        List<object?> list => $"[{string.Join(',', list.Select(Show))}]",
        Dictionary<string, object?> map => $"{{{string.Join(',', map.Select(m => $"{m.Key}:{Show(m.Value)}"))}}}",
        IFormattable number => number.ToString(null, System.Globalization.CultureInfo.InvariantCulture),
        _ => value?.ToString() ?? "",
    };
}
