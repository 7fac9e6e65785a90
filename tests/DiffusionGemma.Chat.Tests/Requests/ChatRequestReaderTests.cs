using Microsoft.Extensions.AI;

namespace DiffusionGemma;

public sealed class ChatRequestReaderTests
{
    private static readonly ChatMessage[] Question = [new(ChatRole.User, "Rain?")];
    private static readonly AIFunction Weather = AIFunctionFactory.Create((string city) => city, "weather");

    [Fact]
    public void WithoutOptionsEverythingIsTheCheckpoints() =>
        Assert.Equal(new GenerationOptions { ReturnOnCancellation = false }, TestChat.Read(Question).Generation.Options);

    [Fact]
    public void SamplingOptionsAreTheEngines() => Assert.Equal(
        new GenerationOptions { TMin = 0.7, TMax = 0.7, TopP = 0.9, TopK = 40, Seed = 5, MaxNewTokens = 100, ReturnOnCancellation = false },
        TestChat.Read(Question,
            new ChatOptions { Temperature = 0.7f, TopP = 0.9f, TopK = 40, Seed = 5, MaxOutputTokens = 100 }).Generation.Options);

    [Fact]
    public void TheEnginesOwnOptionsComeFirst()
    {
        IChatClient? told = null;
        ChatOptions options = new()
        {
            Temperature = 0.7f,
            Seed = 5,
            RawRepresentationFactory = client =>
            {
                told = client;
                return new GenerationOptions { TMax = 0.9, EntropyBound = 0.3, ReturnOnCancellation = true };
            },
        };
        Assert.Equal(
            new GenerationOptions { TMin = 0.7, TMax = 0.9, Seed = 5, EntropyBound = 0.3, ReturnOnCancellation = false },
                TestChat.Read(Question, options).Generation.Options);
        Assert.IsType<DiffusionGemmaChatClient>(told);
        Assert.Equal(0.7, TestChat.Read(
            Question, new ChatOptions
            {
                Temperature = 0.7f, RawRepresentationFactory = _ =>
            "of another client"
            }).Generation.Options!.TMax);
    }

    [Theory]
    [InlineData(-0.1f)]
    [InlineData(float.NaN)]
    [InlineData(float.PositiveInfinity)]
    public void ATemperatureIsANumberFromZero(float temperature) =>
        Assert.Contains("ChatOptions.Temperature",
            Assert.Throws<ArgumentOutOfRangeException>(
            () => TestChat.Read(Question, new ChatOptions { Temperature = temperature })).Message, StringComparison.Ordinal);

    /// <summary>Beyond what a decimal holds.</summary>
    [Fact]
    public void AnEnormousTemperatureIsTakenAsItIs() =>
        Assert.Equal((double)1e30f, TestChat.Read(Question, new ChatOptions { Temperature = 1e30f }).Generation.Options?.TMax);

    public static TheoryData<string, ChatOptions> Refused => new()
    {
        { "ConversationId", new ChatOptions { ConversationId = "c" } },
        { "ModelId", new ChatOptions { ModelId = "another" } },
        { "FrequencyPenalty", new ChatOptions { FrequencyPenalty = 0.5f } },
        { "PresencePenalty", new ChatOptions { PresencePenalty = -0.5f } },
        { "Reasoning.Output", new ChatOptions { Reasoning = new ReasoningOptions { Output = ReasoningOutput.Summary } } },
        { "Tools", new ChatOptions { Tools = [new HostedWebSearchTool()] } },
    };

    [Theory]
    [MemberData(nameof(Refused))]
    public void WhatCannotBeHonouredIsRefusedByName(string option, ChatOptions options) =>
        Assert.StartsWith($"ChatOptions.{option}", Assert.Throws<NotSupportedException>(() => TestChat.Read(Question, options)).Message,
            StringComparison.Ordinal);

    [Fact]
    public void WhatSaysNothingIsTaken()
    {
        ChatOptions options = new()
        {
            ModelId = TestChat.Model, FrequencyPenalty = 0, PresencePenalty = 0, AllowBackgroundResponses = true,
            ResponseFormat = ChatResponseFormat.Text, ToolMode = ChatToolMode.Auto
        };
        Assert.Equal(TestChat.Read(Question).Generation.Prompt, TestChat.Read(Question, options).Generation.Prompt);
    }

    [Theory]
    [InlineData(ReasoningEffort.None, false)]
    [InlineData(ReasoningEffort.Low, true)]
    [InlineData(ReasoningEffort.ExtraHigh, true)]
    public void ReasoningIsTheTemplatesSwitch(ReasoningEffort effort, bool thinks) =>
        Assert.Equal(thinks, TestChat.Prompt(Question, new ChatOptions { Reasoning = new ReasoningOptions { Effort = effort } }).Contains(
            "<|think|>", StringComparison.Ordinal));

    [Fact]
    public void TemplateArgumentsAreTheCallers()
    {
        Assert.EndsWith("<|turn>model\nWell,", TestChat.Prompt(Question, With(new { prefill = "Well," })), StringComparison.Ordinal);
        ChatOptions both = With(new { enable_thinking = false });
        both.Reasoning = new ReasoningOptions { Effort = ReasoningEffort.High };
        Assert.DoesNotContain("<|think|>", TestChat.Prompt(Question, both), StringComparison.Ordinal);
        Assert.Contains("chat_template_kwargs", Assert.Throws<ChatException>(() => TestChat.Prompt(Question, With(5))).Message,
            StringComparison.Ordinal);
        Assert.Contains("'chat_template_kwargs'",
            Assert.Throws<ArgumentException>(() => TestChat.Prompt(Question, With(new Action(() => { })))).Message,
            StringComparison.Ordinal);
    }

    [Fact]
    public void OtherPropertiesAreNotLookedAt() => Assert.Equal(
        TestChat.Prompt(Question),
            TestChat.Prompt(Question,
            new ChatOptions { AdditionalProperties = new() { ["messages"] = "of some decorator", ["f"] = new Action(() => { }) } }));

    [Fact]
    public void APromptThatEndsInsideAThoughtIsNoticed()
    {
        Assert.True(BeginsInThought(TestChat.Read(Question, With(new { prefill = "<|channel>thought\n" }))));
        Assert.False(BeginsInThought(TestChat.Read(Question, With(new { prefill = "<|channel>thought\n<channel|>" }))));
        Assert.False(BeginsInThought(TestChat.Read([new(ChatRole.User, "a <|channel> b")])));
    }

    [Fact]
    public void JsonIsAskedForInTheSystemTurn()
    {
        Assert.StartsWith("<|turn>system\nBe brief.\n\nAnswer with JSON only.<turn|>",
            TestChat.Prompt(Question, new ChatOptions { Instructions = "Be brief.", ResponseFormat = ChatResponseFormat.Json }),
            StringComparison.Ordinal);
        string prompt = TestChat.Prompt(
            Question, new ChatOptions { ResponseFormat = ChatResponseFormat.ForJsonSchema<int[]>(schemaName: "numbers") });
        Assert.Contains("schema (numbers):\n", prompt, StringComparison.Ordinal);
        Assert.Contains("\"integer\"", prompt, StringComparison.Ordinal);
    }

    [Fact]
    public void NoToolIsDeclaredInModeNone()
    {
        ChatRequest request = TestChat.Read(Question, new ChatOptions { Tools = [Weather], ToolMode = ChatToolMode.None });
        Assert.Equal(TestChat.Read(Question).Generation.Prompt, request.Generation.Prompt);
        Assert.False(request.Parsing.AllowsToolCalls);
        Assert.True(TestChat.Read(Question, new ChatOptions { Tools = [Weather] }).Parsing.AllowsToolCalls);
    }

    [Fact]
    public void ARequiredCallIsBegunForTheModel()
    {
        Assert.Null(TestChat.Read(Question, new ChatOptions { Tools = [Weather] }).Generation.Pinned);
        Assert.Equal("<|tool_call>call:", Pinned(ChatToolMode.RequireAny));
        Assert.Equal("<|tool_call>call:weather{", Pinned(ChatToolMode.RequireSpecific("weather")));
        Assert.Contains("'other'", Assert.Throws<ArgumentException>(() => Pinned(ChatToolMode.RequireSpecific("other"))).Message,
            StringComparison.Ordinal);
        Assert.Throws<ArgumentException>(() => TestChat.Read(Question, new ChatOptions { ToolMode = ChatToolMode.RequireAny }));

        static string Pinned(ChatToolMode mode)
        {
            IReadOnlyDictionary<int, int> pinned =
                TestChat.Read(Question, new ChatOptions { Tools = [Weather], ToolMode = mode }).Generation.Pinned!;
            Assert.Equal(Enumerable.Range(0, pinned.Count), pinned.Keys.Order());
            return TestChat.Text(pinned.OrderBy(item => item.Key).Select(item => item.Value));
        }
    }

    [Fact]
    public void StopSequencesAndTheRestGoToTheParser()
    {
        ChatRequest request = TestChat.Read(Question, new ChatOptions
        {
            StopSequences = ["END"], AllowMultipleToolCalls = false, Reasoning = new ReasoningOptions { Output = ReasoningOutput.None },
        });
        Assert.Equal(["END"], request.Parsing.StopSequences);
        Assert.True(request.Parsing.EndsWithFirstToolCall);
        Assert.False(request.KeepsReasoning);
        Assert.Throws<ArgumentException>(() => TestChat.Read(Question, new ChatOptions { StopSequences = [""] }));
    }

    [Fact]
    public void OptionsAreNotChanged()
    {
        ChatOptions options = new()
        {
            Instructions = "i", ResponseFormat = ChatResponseFormat.Json, Tools = [Weather],
            Reasoning = new ReasoningOptions { Effort = ReasoningEffort.High }
        };
        TestChat.Read(Question, options);
        TestChat.Read(Question, options);
        Assert.Null(options.AdditionalProperties);
        Assert.Equal("i", options.Instructions);
    }

    private static bool BeginsInThought(ChatRequest request)
    {
        AnswerParser parser = new(TestChat.Tokenizer, request.Generation.Prompt);
        return parser.Append(TestChat.Ids("x y ")) is [AnswerReasoning];
    }

    private static ChatOptions With(object templateArguments) =>
        new() { AdditionalProperties = new() { ["chat_template_kwargs"] = templateArguments } };
}
