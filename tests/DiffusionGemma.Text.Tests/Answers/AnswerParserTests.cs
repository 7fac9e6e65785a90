namespace DiffusionGemma;

public sealed class AnswerParserTests
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
        { "<|tool_call>weather{}<tool_call|>Sorry.", "call: weather {}\ntext: Sorry." },
        { "<|tool_call>weather<tool_call|>Sorry.", "error: 'call:' is missing at 'weather'|weather\ntext: Sorry." },
        { "<|tool_call>call:weather<tool_call|>Sorry.", "call: weather {}\ntext: Sorry." },
        { "<|tool_call>call:wea", "error: the call has no end|call:wea" },
        { "<|tool_call>call:wea<turn|>", "error: the call has no end|call:wea" },
        { "<|tool_call>call:weather{city:<|\"|>Os",
            "error: a text has no end|call:weather{city:\"Os" },
        { "<|tool_call><tool_call|>", "error: 'call:' is missing at ''|" },
        { "<|tool_call>call:weather(city)<turn|>",
            "error: ':' is missing at ')'|call:weather(city)" },
    };

    [Theory]
    [MemberData(nameof(Answers))]
    [MemberData(nameof(Malformed))]
    public void EveryPartOfAnAnswerIsReadHoweverItIsSplit(string answer, string expected)
    {
        foreach (int[] ids in new[] { AnswerTexts.Ids(answer), Mixed(answer) })
        {
            Assert.Equal(expected, AnswerTexts.Describe(Parse([ids])));
            for (int first = 0; first <= ids.Length; first++)
                for (int second = first; second <= ids.Length; second += 3)
                    Assert.Equal(expected, AnswerTexts.Describe(Parse([ids[..first], ids[first..second], ids[second..]])));
        }

        // Markers that are spelled out are markers too; <eos> and <pad> are known by their token alone.
        static int[] Mixed(string answer) => answer.Contains("<eos>", StringComparison.Ordinal)
            || answer.Contains("<pad>", StringComparison.Ordinal) ? AnswerTexts.Ids(answer) : AnswerTexts.Spelled(answer);
    }

    [Fact]
    public void AControlTokenThatIsSpelledOutInAnArgumentStaysText()
    {
        int[] ids = [.. AnswerTexts.Ids("<|tool_call>call:write{text:<|\"|>end it with "),
            .. AnswerTexts.Spelled("<tool_call|> and <turn|>"),
            .. AnswerTexts.Ids("!<|\"|>}<tool_call|>Done.")];
        foreach (int step in new[] { 1, 3, ids.Length })
        {
            List<AnswerPart> parts = Parse(ids.Chunk(step));
            Assert.Equal("end it with <tool_call|> and <turn|>!",
                Assert.IsType<AnswerToolCall>(parts[0]).Arguments.GetProperty("text").GetString());
            Assert.Equal("text: Done.", AnswerTexts.Describe(parts[1..]));
        }
    }

    [Theory]
    [InlineData("one two three", "two", "one ")]
    [InlineData("one two three", "three", "one two ")]
    [InlineData("aaab", "aab", "a")]
    [InlineData("one two three", "four", "one two three")]
    [InlineData("<|channel>thought\ntwo<channel|>one two three", "two", "one ")]
    public void AStopSequenceEndsTheTextBeforeIt(string answer, string stop, string expected)
    {
        int[] ids = AnswerTexts.Ids(answer);
        for (int at = 0; at <= ids.Length; at++)
        {
            AnswerParser parser = new(AnswerTexts.Tokenizer, [], new AnswerParserOptions { StopSequences = [stop, "unheard"] });
            List<AnswerPart> parts = [.. parser.Append(ids[..at]), .. parser.Append(ids[at..])];
            bool stopped = parser.HasEnded;
            parts.AddRange(parser.Complete());
            Assert.Equal(expected, string.Concat(parts.OfType<AnswerText>().Select(part => part.Text)));
            Assert.Equal(expected != answer, stopped);
        }
    }

    [Fact]
    public void NothingIsGivenAwayThatMayBecomeAMarkerOrAStop()
    {
        AnswerParser parser = new(AnswerTexts.Tokenizer, [], new AnswerParserOptions { StopSequences = ["END"] });
        Assert.Equal("text: 42 ", AnswerTexts.Describe(parser.Append(AnswerTexts.Spelled("42 <|tool_"))));
        Assert.Equal("text: <|tool_box ", AnswerTexts.Describe(parser.Append(AnswerTexts.Spelled("box EN"))));
        Assert.Equal("text: ENOUGH", AnswerTexts.Describe(parser.Append(AnswerTexts.Spelled("OUGH<"))));
        Assert.Equal("text: <", AnswerTexts.Describe(parser.Complete()));
    }

    [Fact]
    public void TokensAreCountedUpToTheEnd()
    {
        AnswerParser parser = new(AnswerTexts.Tokenizer, [], new AnswerParserOptions());
        int[] thought = AnswerTexts.Ids("<|channel>thought\nRain?\n<channel|>"), said = AnswerTexts.Ids("Yes.<turn|>");
        parser.Append([.. thought, .. said, 5, 6, 7]);
        Assert.Equal(thought.Length, parser.ReasoningTokenCount);
        Assert.Equal(thought.Length + said.Length, parser.TokenCount);
        Assert.True(parser.HasEnded);
    }

    [Theory]
    [InlineData("<|turn>model\n<|channel>thought\n", "Rain?\n<channel|>Yes.<turn|>", "thought: Rain?\ntext: Yes.")]
    [InlineData("<|turn>model\n<|channel>", "thought\nRain?<channel|>Yes.", "thought: Rain?\ntext: Yes.")]
    [InlineData("<|turn>model\n<|channel>thought\n<channel|>", "Yes.", "text: Yes.")]
    [InlineData("<|channel>thought\nHm.<turn|>\n<|turn>user\nx<turn|>\n<|turn>model\n", "Yes.", "text: Yes.")]
    public void ThePromptDecidesWhetherTheAnswerBeginsInAThought(string prompt, string answer, string expected) =>
        RequireHoweverSplit(prompt, answer, expected);

    [Theory]
    [InlineData("thought\nIt rains.<channel|>Take a coat.<turn|>", "thought: It rains.\ntext: Take a coat.")]
    [InlineData("thought\n<channel|>Take a coat.<turn|>", "text: Take a coat.")]
    [InlineData("thought\nTake a coat.<turn|>", "text: Take a coat.")]
    [InlineData("thought\n<|channel>thought\nHm.<channel|>Take a coat.", "thought: Hm.\ntext: Take a coat.")]
    [InlineData("thought\nAgain.\n<|tool_call>call:f{}<tool_call|>", "thought: Again.\ncall: f {}")]
    [InlineData("thoughtful people stay in.<turn|>", "text: thoughtful people stay in.")]
    [InlineData("thought", "text: thought")]
    [InlineData("though", "text: though")]
    [InlineData("I had a\nthought\nabout it.", "text: I had a\\nthought\\nabout it.")]
    public void APlainThoughtLineAfterAToolResultIsNoAnswer(string answer, string expected)
    {
        foreach (string prompt in (string[])[
            "<tool_response|>", "<tool_response|><|turn>model\n", "<tool_response|><turn|>\n<|turn>model\n"])
            RequireHoweverSplit("<|tool_response>response:f{value:1}" + prompt, answer, expected);
    }

    [Theory]
    [InlineData("thought\nIt rains.<channel|>Take a coat.<turn|>", "thought: It rains.\ntext: Take a coat.")]
    [InlineData("thought\nTake a coat.<turn|>", "text: thought\\nTake a coat.")]
    [InlineData("thought\nTake a coat.<|tool_call>call:f{}<tool_call|>", "text: thought\\nTake a coat.\ncall: f {}")]
    public void ElsewhereAPlainThoughtLineIsReasoningOnlyWhereItsChannelCloses(string answer, string expected)
    {
        RequireHoweverSplit("<|turn>user\nRain?<turn|>\n<|turn>model\n", answer, expected);
        RequireHoweverSplit("<tool_response|><turn|>\n<|turn>user\nRain?<turn|>\n<|turn>model\n", answer, expected);
    }

    [Fact]
    public void TokensOfAPlainThoughtLineAreCountedAsReasoning()
    {
        AnswerParser parser = new(AnswerTexts.Tokenizer, []);
        int[] thought = AnswerTexts.Ids("thought\nRain?<channel|>"), said = AnswerTexts.Ids("Yes.<turn|>");
        parser.Append([.. thought, .. said]);
        Assert.Equal((thought.Length, thought.Length + said.Length), (parser.ReasoningTokenCount, parser.TokenCount));
    }

    [Fact]
    public void OneCallEndsTheAnswerWhereMoreAreNotWanted() =>
        Assert.Equal("call: a {}",
            AnswerTexts.Describe(Parse(
            [AnswerTexts.Ids("<|tool_call>call:a{} call:b{}<tool_call|><|tool_call>call:c{}<tool_call|>text")],
            new AnswerParserOptions { EndsWithFirstToolCall = true })));

    [Fact]
    public void ACallThatIsNotAllowedIsAnError() =>
        Assert.Equal("error: 'a' is called, and tool calls are not allowed|call:a{}",
            AnswerTexts.Describe(
                Parse([AnswerTexts.Ids("<|tool_call>call:a{}<tool_call|>")], new AnswerParserOptions { AllowsToolCalls = false })));

    /// <summary>Streams of markers, parts of markers, spelled markers, calls and text, at 40 random splits each.</summary>
    [Fact]
    public void AnySplitOfAnyStreamGivesTheSame()
    {
        Random random = new(5);
        string[] pieces = [.. ControlTokens.ByText.Keys, .. ControlTokens.ByText.Keys.Select(marker => marker[..(marker.Length / 2)]),
            .. ControlTokens.ByText.Keys.Select(marker => marker[(marker.Length / 2)..]),
            "thought\n", "\n", "call:", "f{", "a:1", ",", "}", "[", "]", "true", "text", " and ", "日本", "🌞", "<", "|", ">", Call, "<eos>",
                "\"", "STOP"];
        for (int n = 0; n < 1500; n++)
        {
            List<int> stream = [];
            for (int i = random.Next(1, 14); i > 0; i--)
            {
                string piece = pieces[random.Next(pieces.Length)];
                stream.AddRange(random.Next(3) == 0 ? AnswerTexts.Spelled(piece) : AnswerTexts.Ids(piece));
            }
            int[] ids = [.. stream];
            AnswerParserOptions options = new() { StopSequences = random.Next(3) == 0 ? ["STOP", "text and"] : [] };
            string prompt = random.Next(5) switch { 0 => "<|channel>thought\n", 1 => "<tool_response|>", 2 => "<|channel>", _ => "" };
            List<AnswerPart> whole = Parse([ids], options, prompt);
            RequireClean(whole, ids);
            string expected = AnswerTexts.Describe(whole);
            for (int m = 0; m < 8; m++)
            {
                int step = random.Next(1, 6);
                string split = AnswerTexts.Describe(Parse(ids.Chunk(step), options, prompt));
                Assert.True(expected == split,
                    $"Case {n} after '{prompt}', in pieces of {step}: {AnswerTexts.Tokenizer.Decode(ids)}\n{expected}\n---\n{split}");
            }
        }
    }

    [Fact]
    public void GarbageNeverThrowsOrLeaksAMarker()
    {
        Random random = new(6);
        int[] markers = [.. ControlTokens.ByText.Keys.Select(text => AnswerTexts.Tokenizer.IdOf(text)!.Value)];
        for (int n = 0; n < 2000; n++)
        {
            int[] ids = [.. Enumerable.Range(0, random.Next(1, 80))
                .Select(_ => random.Next(6) == 0 ? markers[random.Next(markers.Length)] : random.Next(
                AnswerTexts.Tokenizer.VocabularySize + 2))];
            RequireClean(Parse(ids.Chunk(random.Next(1, 40))), ids);
        }
    }

    private static void RequireClean(List<AnswerPart> parts, int[] ids)
    {
        string text = string.Concat(parts.OfType<AnswerText>().Select(part => part.Text)),
            thought = string.Concat(parts.OfType<AnswerReasoning>().Select(content => content.Text));
        string names = string.Concat(parts.OfType<AnswerToolCall>().Select(call => call.Name));
        foreach (string said in new[] { text, thought, names })
            foreach (string marker in ControlTokens.ByText.Keys)
                Assert.False(said.Contains(marker, StringComparison.Ordinal),
                    $"{marker} leaks from {AnswerTexts.Tokenizer.Decode(ids)}: {said}");
    }

    private static void RequireHoweverSplit(string prompt, string answer, string expected)
    {
        int[] ids = AnswerTexts.Ids(answer);
        for (int step = 1; step <= ids.Length + 1; step++)
            Assert.Equal(expected, AnswerTexts.Describe(Parse(ids.Chunk(step), prompt: prompt)));
    }

    private static List<AnswerPart> Parse(
        IEnumerable<int[]> canvases, AnswerParserOptions? options = null, string prompt = "")
    {
        AnswerParser parser = new(AnswerTexts.Tokenizer, AnswerTexts.Ids(prompt), options);
        List<AnswerPart> parts = [];
        foreach (int[] canvas in canvases) parts.AddRange(parser.Append(canvas));
        parts.AddRange(parser.Complete());
        return parts;
    }
}
