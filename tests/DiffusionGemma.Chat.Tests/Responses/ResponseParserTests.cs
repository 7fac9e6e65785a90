using Microsoft.Extensions.AI;

namespace DiffusionGemma;

public sealed class ResponseParserTests
{
    private const string Call = """<|tool_call>call:weather{city:<|"|>Oslo<|"|>,days:2}<tool_call|>""";

    public static TheoryData<string, string> Answers => new()
    {
        { "It rains.<turn|>", "text: It rains." },
        { "It rains.<turn|>\nand more", "text: It rains." },
        { "It rains.<eos>", "text: It rains." },
        { "<pad>It <pad>rains.", "text: It rains." },
        { "<|channel>thought\nRain?\nYes.\n<channel|>It rains.<turn|>", "thought: Rain?\\nYes.\ntext: It rains." },
        { "<|channel>thought\n<channel|>It rains.<turn|>", "text: It rains." },
        { "<|channel>thought<channel|>It rains.<turn|>", "text: It rains." },
        { "<|channel>Rain? <channel|>It rains.<turn|>", "thought: Rain? \ntext: It rains." },
        { "<|channel>I see: rain\nand wind\n<channel|>", "thought: I see: rain\\nand wind" },
        { "<|channel>thought\nRain\n\n<channel|>", "thought: Rain\\n" },
        { "<|channel>thought\nRain", "thought: Rain" },
        { "<|channel>thought\nRain<turn|>", "thought: Rain" },
        { "One <|channel>thought\ntwo<channel|>three", "text: One \nthought: two\ntext: three" },
        { Call + "<|tool_response>", "call: weather {\"city\":\"Oslo\",\"days\":2}" },
        { "Look:\n" + Call + Call + "<|tool_response>x",
            "text: Look:\\n\ncall: weather {\"city\":\"Oslo\",\"days\":2}\ncall: weather {\"city\":\"Oslo\",\"days\":2}" },
        { "<|channel>thought\nAsk." + Call, "thought: Ask.\ncall: weather {\"city\":\"Oslo\",\"days\":2}" },
        { "<|tool_call>call:now{}<|tool_response>", "call: now {}" },
        { "<|tool_call>call:now{}<|tool_call>call:then{}<turn|>", "call: now {}\ncall: then {}" },
        { "<|tool_call>call:now{}", "call: now {}" },
        { "<|tool_call>call:now{} call:then{a:1}<tool_call|>", "call: now {}\ncall: then {\"a\":1}" },
        { "a<channel|>b<tool_call|>c<|tool>d<tool|>e<tool_response|>f<|think|>g", "text: abcdefg" },
        { "He said <|\"|>yes<|\"|>.", "text: He said \"yes\"." },
        { "2 < 3 and <|x|> and <| and <tool", "text: 2 < 3 and <|x|> and <| and <tool" },
        { "明日は晴れ 🌞<turn|>", "text: 明日は晴れ 🌞" },
        { "<|turn>user\nhi", "" },
        { "", "" },
    };

    public static TheoryData<string, string> Malformed => new()
    {
        { "<|tool_call>weather{}<tool_call|>Sorry.",
            "error: The model's tool call cannot be used: 'call:' is missing at 'weather{}'.|weather{}\ntext: Sorry." },
        { "<|tool_call>call:weather{city:<|\"|>Os",
            "error: The model's tool call cannot be used: a text has no end.|call:weather{city:\"Os" },
        { "<|tool_call><tool_call|>", "error: The model's tool call cannot be used: 'call:' is missing at ''.|" },
        { "<|tool_call>call:weather(city)<turn|>",
            "error: The model's tool call cannot be used: no name and '{' follow 'call:'.|call:weather(city)" },
    };

    [Theory]
    [MemberData(nameof(Answers))]
    [MemberData(nameof(Malformed))]
    public void EveryPartOfAnAnswerIsAContentHoweverItIsSplit(string answer, string expected)
    {
        foreach (int[] ids in new[] { TestChat.Ids(answer), Mixed(answer) })
        {
            Assert.Equal(expected, TestChat.Describe(Parse([ids])));
            for (int first = 0; first <= ids.Length; first++)
                for (int second = first; second <= ids.Length; second += 3)
                    Assert.Equal(expected, TestChat.Describe(Parse([ids[..first], ids[first..second], ids[second..]])));
        }

        // Markers that are spelled out are markers too; <eos> and <pad> are known by their token alone.
        static int[] Mixed(string answer) => answer.Contains("<eos>", StringComparison.Ordinal)
            || answer.Contains("<pad>", StringComparison.Ordinal) ? TestChat.Ids(answer) : TestChat.Spelled(answer);
    }

    [Fact]
    public void AMarkerThatIsSpelledOutInAnArgumentIsWhatTheModelSays()
    {
        int[] ids = [.. TestChat.Ids("<|tool_call>call:write{text:<|\"|>end it with "), .. TestChat.Spelled("<tool_call|> and <turn|>"),
            .. TestChat.Ids("!<|\"|>}<tool_call|>Done.")];
        foreach (int step in new[] { 1, 3, ids.Length })
        {
            List<AIContent> contents = Parse(ids.Chunk(step));
            Assert.Equal("end it with <tool_call|> and <turn|>!",
                Assert.IsType<FunctionCallContent>(contents[0]).Arguments!["text"]!.ToString());
            Assert.Equal("text: Done.", TestChat.Describe(contents[1..]));
        }
    }

    [Fact]
    public void AMalformedCallIsAnErrorWithACode()
    {
        ErrorContent error = Assert.IsType<ErrorContent>(Assert.Single(Parse([TestChat.Ids("<|tool_call>call:weather{city<tool_call|>")])));
        Assert.Equal(DiffusionGemmaChatClient.MalformedCallCode, error.ErrorCode);
        Assert.Equal("call:weather{city", error.Details);
    }

    [Theory]
    [InlineData("one two three", "two", "one ")]
    [InlineData("one two three", "three", "one two ")]
    [InlineData("aaab", "aab", "a")]
    [InlineData("one two three", "four", "one two three")]
    [InlineData("<|channel>thought\ntwo<channel|>one two three", "two", "one ")]
    public void AStopSequenceEndsTheTextBeforeIt(string answer, string stop, string expected)
    {
        int[] ids = TestChat.Ids(answer);
        for (int at = 0; at <= ids.Length; at++)
        {
            ResponseParser parser = new(TestChat.Tokenizer, new ParserSettings { StopSequences = [stop, "unheard"] });
            List<AIContent> contents = [.. parser.Append(ids[..at]), .. parser.Append(ids[at..])];
            bool stopped = parser.Ended;
            contents.AddRange(parser.Finish());
            Assert.Equal(expected, string.Concat(contents.OfType<TextContent>()));
            Assert.Equal(expected != answer, stopped);
        }
    }

    [Fact]
    public void NothingIsGivenAwayThatMayBecomeAMarkerOrAStop()
    {
        ResponseParser parser = new(TestChat.Tokenizer, new ParserSettings { StopSequences = ["END"] });
        Assert.Equal("text: 42 ", TestChat.Describe(parser.Append(TestChat.Spelled("42 <|tool_"))));
        Assert.Equal("text: <|tool_box ", TestChat.Describe(parser.Append(TestChat.Spelled("box EN"))));
        Assert.Equal("text: ENOUGH", TestChat.Describe(parser.Append(TestChat.Spelled("OUGH<"))));
        Assert.Equal("text: <", TestChat.Describe(parser.Finish()));
    }

    [Fact]
    public void TokensAreCountedUpToTheEnd()
    {
        ResponseParser parser = new(TestChat.Tokenizer, new ParserSettings());
        int[] thought = TestChat.Ids("<|channel>thought\nRain?\n<channel|>"), said = TestChat.Ids("Yes.<turn|>");
        parser.Append([.. thought, .. said, 5, 6, 7]);
        Assert.Equal(thought.Length, parser.ThoughtTokens);
        Assert.Equal(thought.Length + said.Length, parser.Tokens);
        Assert.True(parser.Ended);
    }

    [Fact]
    public void AThoughtThatThePromptBeganGoesOn() =>
        Assert.Equal("thought: Rain?\ntext: Yes.",
            TestChat.Describe(Parse([TestChat.Ids("Rain?\n<channel|>Yes.<turn|>")], new ParserSettings { BeginsInThought = true })));

    [Fact]
    public void ThoughtsAreLeftOutWhereNotWanted() =>
        Assert.Equal("text: Yes.",
            TestChat.Describe(Parse(
            [TestChat.Ids("<|channel>thought\nRain?\n<channel|>Yes.<turn|>")], new ParserSettings { KeepsThoughts = false })));

    [Fact]
    public void OneCallEndsTheAnswerWhereMoreAreNotWanted() =>
        Assert.Equal("call: a {}",
            TestChat.Describe(Parse(
            [TestChat.Ids("<|tool_call>call:a{} call:b{}<tool_call|><|tool_call>call:c{}<tool_call|>text")],
            new ParserSettings { EndsWithFirstCall = true })));

    [Fact]
    public void ACallThatIsNotAllowedIsAnError() =>
        Assert.Equal("error: The model's tool call cannot be used: 'a' is called, and the request's tool mode is None.|call:a{}",
            TestChat.Describe(Parse([TestChat.Ids("<|tool_call>call:a{}<tool_call|>")], new ParserSettings { AllowsCalls = false })));

    /// <summary>Streams of markers, parts of markers, spelled markers, calls and text, at 40 random splits each.</summary>
    [Fact]
    public void AnySplitOfAnyStreamGivesTheSame()
    {
        Random random = new(5);
        string[] pieces = [.. Markers.ByText.Keys, .. Markers.ByText.Keys.Select(marker => marker[..(marker.Length / 2)]),
            .. Markers.ByText.Keys.Select(marker => marker[(marker.Length / 2)..]),
            "thought\n", "\n", "call:", "f{", "a:1", ",", "}", "[", "]", "true", "text", " and ", "日本", "🌞", "<", "|", ">", Call, "<eos>",
                "\"", "STOP"];
        for (int n = 0; n < 1500; n++)
        {
            List<int> stream = [];
            for (int i = random.Next(1, 14); i > 0; i--)
            {
                string piece = pieces[random.Next(pieces.Length)];
                stream.AddRange(random.Next(3) == 0 ? TestChat.Spelled(piece) : TestChat.Ids(piece));
            }
            int[] ids = [.. stream];
            ParserSettings settings =
                new() { StopSequences = random.Next(3) == 0 ? ["STOP", "text and"] : [], BeginsInThought = random.Next(5) == 0 };
            List<AIContent> whole = Parse([ids], settings);
            RequireClean(whole, ids);
            string expected = TestChat.Describe(whole);
            for (int m = 0; m < 8; m++)
            {
                int step = random.Next(1, 6);
                string split = TestChat.Describe(Parse(ids.Chunk(step), settings));
                Assert.True(expected == split, $"Case {n}, in pieces of {step}: {TestChat.Text(ids)}\n{expected}\n---\n{split}");
            }
        }
    }

    [Fact]
    public void GarbageNeverThrowsOrLeaksAMarker()
    {
        Random random = new(6);
        int[] markers = [.. Markers.ByText.Keys.Select(text => TestChat.Tokenizer.IdOf(text)!.Value)];
        for (int n = 0; n < 2000; n++)
        {
            int[] ids = [.. Enumerable.Range(0, random.Next(1, 80))
                .Select(_ => random.Next(6) == 0 ? markers[random.Next(markers.Length)] : random.Next(
                TestChat.Tokenizer.VocabularySize + 2))];
            RequireClean(Parse(ids.Chunk(random.Next(1, 40))), ids);
        }
    }

    private static void RequireClean(List<AIContent> contents, int[] ids)
    {
        string text = string.Concat(contents.OfType<TextContent>()),
            thought = string.Concat(contents.OfType<TextReasoningContent>().Select(content => content.Text));
        string names = string.Concat(contents.OfType<FunctionCallContent>().Select(call => call.Name));
        foreach (string said in new[] { text, thought, names })
            foreach (string marker in Markers.ByText.Keys)
                Assert.False(said.Contains(marker, StringComparison.Ordinal), $"{marker} leaks from {TestChat.Text(ids)}: {said}");
    }

    private static List<AIContent> Parse(IEnumerable<int[]> canvases, ParserSettings? settings = null)
    {
        ResponseParser parser = new(TestChat.Tokenizer, settings ?? new ParserSettings());
        List<AIContent> contents = [];
        foreach (int[] canvas in canvases) contents.AddRange(parser.Append(canvas));
        contents.AddRange(parser.Finish());
        return contents;
    }
}
