using DiffusionGemma.Chat;
using Microsoft.Extensions.AI;

namespace DiffusionGemma;

public sealed class ChatRequestReaderTests
{
    private static readonly ChatMessage[] s_question = [new(ChatRole.User, "Rain?")];
    private static readonly AIFunction s_weather = AIFunctionFactory.Create((string city) => city, "weather");

    [Fact]
    public void WithoutOptionsEverythingIsTheCheckpoints() =>
        Assert.Equal(new GenerationOptions { ReturnOnCancellation = false }, TestChat.Read(s_question).Generation.Options);

    [Fact]
    public void SamplingOptionsAreTheEngines() => Assert.Equal(
        new GenerationOptions { TMin = 0.7, TMax = 0.7, TopP = 0.9, TopK = 40, Seed = 5, MaxNewTokens = 100, ReturnOnCancellation = false },
        TestChat.Read(s_question, new ChatOptions { Temperature = 0.7f, TopP = 0.9f, TopK = 40, Seed = 5, MaxOutputTokens = 100 }).Generation.Options);

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
            new GenerationOptions { TMin = 0.7, TMax = 0.9, Seed = 5, EntropyBound = 0.3, ReturnOnCancellation = false }, TestChat.Read(s_question, options).Generation.Options);
        Assert.IsType<DiffusionGemmaChatClient>(told);
        Assert.Equal(0.7, TestChat.Read(s_question, new ChatOptions { Temperature = 0.7f, RawRepresentationFactory = _ => "of another client" }).Generation.Options!.TMax);
    }

    [Theory]
    [InlineData(-0.1f)]
    [InlineData(float.NaN)]
    [InlineData(float.PositiveInfinity)]
    public void ATemperatureIsANumberFromZero(float temperature) =>
        Assert.Contains("ChatOptions.Temperature", Assert.Throws<ArgumentOutOfRangeException>(() => TestChat.Read(s_question, new ChatOptions { Temperature = temperature })).Message, StringComparison.Ordinal);

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
        Assert.StartsWith($"ChatOptions.{option}", Assert.Throws<NotSupportedException>(() => TestChat.Read(s_question, options)).Message, StringComparison.Ordinal);

    [Fact]
    public void WhatSaysNothingIsTaken()
    {
        ChatOptions options = new() { ModelId = TestChat.Model, FrequencyPenalty = 0, PresencePenalty = 0, AllowBackgroundResponses = true, ResponseFormat = ChatResponseFormat.Text, ToolMode = ChatToolMode.Auto };
        Assert.Equal(TestChat.Read(s_question).Generation.Prompt, TestChat.Read(s_question, options).Generation.Prompt);
    }

    [Theory]
    [InlineData(ReasoningEffort.None, false)]
    [InlineData(ReasoningEffort.Low, true)]
    [InlineData(ReasoningEffort.ExtraHigh, true)]
    public void ReasoningIsTheTemplatesSwitch(ReasoningEffort effort, bool thinks) =>
        Assert.Equal(thinks, TestChat.Prompt(s_question, new ChatOptions { Reasoning = new ReasoningOptions { Effort = effort } }).Contains("<|think|>", StringComparison.Ordinal));

    [Fact]
    public void TemplateArgumentsAreTheCallers()
    {
        Assert.EndsWith("<|turn>model\nWell,", TestChat.Prompt(s_question, With(new { prefill = "Well," })), StringComparison.Ordinal);
        ChatOptions both = With(new { enable_thinking = false });
        both.Reasoning = new ReasoningOptions { Effort = ReasoningEffort.High };
        Assert.DoesNotContain("<|think|>", TestChat.Prompt(s_question, both), StringComparison.Ordinal);
        Assert.Contains("chat_template_kwargs", Assert.Throws<ChatException>(() => TestChat.Prompt(s_question, With(5))).Message, StringComparison.Ordinal);
        Assert.Contains("'chat_template_kwargs'", Assert.Throws<ArgumentException>(() => TestChat.Prompt(s_question, With(new Action(() => { })))).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void OtherPropertiesAreNotLookedAt() => Assert.Equal(
        TestChat.Prompt(s_question), TestChat.Prompt(s_question, new ChatOptions { AdditionalProperties = new() { ["messages"] = "of some decorator", ["f"] = new Action(() => { }) } }));

    [Fact]
    public void APromptThatEndsInsideAThoughtIsNoticed()
    {
        Assert.True(TestChat.Read(s_question, With(new { prefill = "<|channel>thought\n" })).Parsing.BeginsInThought);
        Assert.False(TestChat.Read(s_question, With(new { prefill = "<|channel>thought\n<channel|>" })).Parsing.BeginsInThought);
        Assert.False(TestChat.Read([new(ChatRole.User, "a <|channel> b")]).Parsing.BeginsInThought);
    }

    [Fact]
    public void JsonIsAskedForInTheSystemTurn()
    {
        Assert.StartsWith("<|turn>system\nBe brief.\n\nAnswer with JSON only.<turn|>", TestChat.Prompt(s_question, new ChatOptions { Instructions = "Be brief.", ResponseFormat = ChatResponseFormat.Json }), StringComparison.Ordinal);
        string prompt = TestChat.Prompt(s_question, new ChatOptions { ResponseFormat = ChatResponseFormat.ForJsonSchema<int[]>(schemaName: "numbers") });
        Assert.Contains("schema (numbers):\n", prompt, StringComparison.Ordinal);
        Assert.Contains("\"integer\"", prompt, StringComparison.Ordinal);
    }

    [Fact]
    public void NoToolIsDeclaredInModeNone()
    {
        ChatRequest request = TestChat.Read(s_question, new ChatOptions { Tools = [s_weather], ToolMode = ChatToolMode.None });
        Assert.Equal(TestChat.Read(s_question).Generation.Prompt, request.Generation.Prompt);
        Assert.False(request.Parsing.AllowsCalls);
        Assert.True(TestChat.Read(s_question, new ChatOptions { Tools = [s_weather] }).Parsing.AllowsCalls);
    }

    [Fact]
    public void ARequiredCallIsBegunForTheModel()
    {
        Assert.Null(TestChat.Read(s_question, new ChatOptions { Tools = [s_weather] }).Generation.Pinned);
        Assert.Equal("<|tool_call>call:", Pinned(ChatToolMode.RequireAny));
        Assert.Equal("<|tool_call>call:weather{", Pinned(ChatToolMode.RequireSpecific("weather")));
        Assert.Contains("'other'", Assert.Throws<ArgumentException>(() => Pinned(ChatToolMode.RequireSpecific("other"))).Message, StringComparison.Ordinal);
        Assert.Throws<ArgumentException>(() => TestChat.Read(s_question, new ChatOptions { ToolMode = ChatToolMode.RequireAny }));

        static string Pinned(ChatToolMode mode)
        {
            IReadOnlyDictionary<int, int> pinned = TestChat.Read(s_question, new ChatOptions { Tools = [s_weather], ToolMode = mode }).Generation.Pinned!;
            Assert.Equal(Enumerable.Range(0, pinned.Count), pinned.Keys.Order());
            return TestChat.Text(pinned.OrderBy(item => item.Key).Select(item => item.Value));
        }
    }

    [Fact]
    public void StopSequencesAndTheRestGoToTheParser()
    {
        ParserSettings parsing = TestChat.Read(s_question, new ChatOptions
        {
            StopSequences = ["END"], AllowMultipleToolCalls = false, Reasoning = new ReasoningOptions { Output = ReasoningOutput.None },
        }).Parsing;
        Assert.Equal(["END"], parsing.StopSequences);
        Assert.True(parsing.EndsWithFirstCall);
        Assert.False(parsing.KeepsThoughts);
        Assert.Throws<ArgumentException>(() => TestChat.Read(s_question, new ChatOptions { StopSequences = [""] }));
    }

    [Fact]
    public void OptionsAreNotChanged()
    {
        ChatOptions options = new() { Instructions = "i", ResponseFormat = ChatResponseFormat.Json, Tools = [s_weather], Reasoning = new ReasoningOptions { Effort = ReasoningEffort.High } };
        TestChat.Read(s_question, options);
        TestChat.Read(s_question, options);
        Assert.Null(options.AdditionalProperties);
        Assert.Equal("i", options.Instructions);
    }

    private static ChatOptions With(object templateArguments) => new() { AdditionalProperties = new() { ["chat_template_kwargs"] = templateArguments } };
}
