using System.Reflection;
using System.Runtime.CompilerServices;
using System.Text.Json;
using Microsoft.Extensions.AI;

namespace DiffusionGemma;

/// <summary>
/// Walks the tables of docs/chat.md: every role, content, tool and option of Microsoft.Extensions.AI.Abstractions has a row there, and
/// becomes what the row says.
/// </summary>
public sealed class DocumentedContractTests
{
    private static readonly ChatMessage Question = new(ChatRole.User, "Rain?");
    private static readonly Assembly Abstractions = typeof(AIContent).Assembly;
    private static readonly Dictionary<string, string> Rows = ReadRows();

    public static TheoryData<string> Contents => [.. Concrete(typeof(AIContent))];

    public static TheoryData<string> Tools => [.. Concrete(typeof(AITool))];

    public static TheoryData<string> Options => [.. typeof(ChatOptions).GetProperties().Select(property => property.Name)];

    public static TheoryData<string> Roles =>
        [.. typeof(ChatRole).GetProperties(BindingFlags.Static | BindingFlags.Public).Select(property => property.Name), "other roles"];

    [Theory]
    [MemberData(nameof(Contents))]
    public void AContentBecomesWhatItsRowSays(string name)
    {
        AIContent content = Content(name);
        ChatMessage call = new(ChatRole.Assistant, [new FunctionCallContent("c1", "f")]);
        switch (Outcome(name))
        {
            case "text":
                Assert.Contains("<|turn>user\nhello<turn|>", TestChat.Prompt([new(ChatRole.User, [content])]), StringComparison.Ordinal);
                break;
            case "reasoning":
                Assert.Contains("thought\nhello", TestChat.Prompt([Question,
                    new(ChatRole.Assistant, [content, .. call.Contents]), new(ChatRole.Tool, [new FunctionResultContent("c1", "7")])]),
                    StringComparison.Ordinal);
                Assert.Throws<ArgumentException>(() => TestChat.Prompt([new(ChatRole.User, [content])]));
                break;
            case "tool call":
                Assert.Contains("<|tool_call>call:f{}<tool_call|>", TestChat.Prompt([Question, new(ChatRole.Assistant, [content]),
                    new(ChatRole.Tool, [new FunctionResultContent("c1", "7")])]), StringComparison.Ordinal);
                Assert.Throws<ArgumentException>(() => TestChat.Prompt([new(ChatRole.User, [content])]));
                break;
            case "tool result":
                Assert.Contains("response:f{value:<|\"|>hello<|\"|>}", TestChat.Prompt([Question, call, new(ChatRole.Tool, [content])]),
                    StringComparison.Ordinal);
                Assert.Throws<ArgumentException>(() => TestChat.Prompt([new(ChatRole.System, [content]), Question]));
                break;
            case "left out":
                Assert.Equal(TestChat.Prompt([Question, new(ChatRole.Assistant, "Yes."), Question]),
                    TestChat.Prompt([Question, new(ChatRole.Assistant, [content, new TextContent("Yes.")]), Question]));
                break;
            default:
                foreach (ChatRole role in (ChatRole[])[ChatRole.User, ChatRole.Assistant, ChatRole.System])
                    Assert.Contains(name, Assert.Throws<NotSupportedException>(
                        () => TestChat.Prompt([Question, new(role, [content]), Question])).Message, StringComparison.Ordinal);
                break;
        }
    }

    [Theory]
    [MemberData(nameof(Tools))]
    public void AToolIsDeclaredOrRefusedAsItsRowSays(string name)
    {
        Type type = Abstractions.GetExportedTypes().Single(type => type.Name == name);
        if (Outcome(name) == "declared")
        {
            AIFunction function = AIFunctionFactory.Create((int days) => "", "rain");
            const BindingFlags Any = BindingFlags.Instance | BindingFlags.Public | BindingFlags.NonPublic;
            AITool wrapped = (AITool)type.GetConstructor(Any, [typeof(AIFunction)])!.Invoke([function]);
            Assert.Contains("<|tool>declaration:rain", TestChat.Prompt([Question], new ChatOptions { Tools = [wrapped] }),
                StringComparison.Ordinal);
            return;
        }
        ChatOptions options = new() { Tools = [(AITool)RuntimeHelpers.GetUninitializedObject(type)] };
        Assert.Contains(name, Assert.Throws<NotSupportedException>(() => TestChat.Prompt([Question], options)).Message,
            StringComparison.Ordinal);
    }

    [Fact]
    public void FunctionsAreDeclared()
    {
        Assert.Equal(("declared", "declared"), (Outcome(nameof(AIFunction)), Outcome(nameof(AIFunctionDeclaration))));
        AIFunction function = AIFunctionFactory.Create((int days) => "", "rain");
        foreach (AITool tool in (AITool[])[function, function.AsDeclarationOnly()])
            Assert.Contains("<|tool>declaration:rain", TestChat.Prompt([Question], new ChatOptions { Tools = [tool] }),
                StringComparison.Ordinal);
    }

    [Theory]
    [MemberData(nameof(Options))]
    public void AnOptionIsHonouredRefusedOrIgnoredAsItsRowSays(string name)
    {
        ChatOptions options = Option(name);
        switch (Outcome(name))
        {
            case "honoured":
                Assert.NotEqual(Describe(new ChatOptions()), Describe(options));
                break;
            case "ignored":
                Assert.Equal(Describe(new ChatOptions()), Describe(options));
                break;
            default:
                Assert.Contains($"ChatOptions.{name}", Assert.Throws<NotSupportedException>(() => Describe(options)).Message,
                    StringComparison.Ordinal);
                break;
        }
    }

    [Theory]
    [MemberData(nameof(Roles))]
    public void ARoleBecomesWhatItsRowSays(string name)
    {
        ChatMessage yes = new(ChatRole.Assistant, "Yes.");
        (string prompt, string expected) = name switch
        {
            "System" => (TestChat.Prompt(
                [new(ChatRole.System, "a"), new(ChatRole.System, "b"), Question, new(ChatRole.System, "c"), Question]),
                "<|turn>system\na\n\nb<turn|>\n<|turn>user\nRain?<turn|>\n<|turn>system\nc<turn|>\n"),
            "User" => (TestChat.Prompt([Question]), "<|turn>user\nRain?<turn|>\n"),
            "Assistant" => (TestChat.Prompt([Question, yes, Question]), "<|turn>model\nYes.<turn|>\n"),
            "Tool" => (TestChat.Prompt([Question, new(ChatRole.Assistant, [new FunctionCallContent("c", "f")]),
                new(ChatRole.Tool, [new FunctionResultContent("c", "7")])]), "<|tool_response>response:f{"),
            _ => (TestChat.Prompt([new(new ChatRole("developer"), "a"), new(new ChatRole("critic"), "b")]),
                "<|turn>developer\na<turn|>\n<|turn>critic\nb<turn|>\n"),
        };
        Assert.NotEmpty(Outcome(name));
        Assert.Contains(expected, prompt, StringComparison.Ordinal);
    }

    [Fact]
    public void AnAuthorsNameIsTheMessagesName()
    {
        ChatTokenizer chat = new(
            TestChat.Tokenizer, ChatTemplate.Parse("{% for m in messages %}{{ m.name }}: {{ m.content }}{% endfor %}"));
        using DiffusionGemmaChatClient client = TestChat.Saying("");
        int[] prompt = new ChatRequestReader(chat, TestChat.Model).Read(
            client, [new(ChatRole.User, "Rain?") { AuthorName = "Ada" }], null).Generation.Prompt;
        Assert.Equal("Ada: Rain?", TestChat.Text(prompt));
    }

    private static string Outcome(string name) =>
        Rows.TryGetValue(name, out string? outcome)
            ? outcome : throw new InvalidDataException($"docs/chat.md has no table row for {name}.");

    /// <summary>Rows of the form "| `Name`, `Name` | outcome | ...".</summary>
    private static Dictionary<string, string> ReadRows()
    {
        Dictionary<string, string> rows = [];
        foreach (string line in File.ReadAllLines(Path.Combine(Fixtures.Root, "docs", "chat.md")).Where(line => line.StartsWith('|')))
        {
            string[] cells = [.. line.Trim('|').Split('|').Select(cell => cell.Trim())];
            foreach (string name in cells[0].Split(',').Select(name => name.Trim().Trim('`'))) rows.TryAdd(name, cells[1]);
        }
        return rows;
    }

    private static IEnumerable<string> Concrete(Type of) => Abstractions.GetExportedTypes()
        .Where(type => of.IsAssignableFrom(type) && !type.IsAbstract && type != of).Select(type => type.Name);

    private static AIContent Content(string name) => name switch
    {
        nameof(TextContent) => new TextContent("hello"),
        nameof(TextReasoningContent) => new TextReasoningContent("hello"),
        nameof(FunctionCallContent) => new FunctionCallContent("c1", "f"),
        nameof(FunctionResultContent) => new FunctionResultContent("c1", "hello"),
        nameof(DataContent) => new DataContent(new byte[] { 1 }, "image/png"),
        nameof(UriContent) => new UriContent("http://x/a.wav", "audio/wav"),
        _ => (AIContent)RuntimeHelpers.GetUninitializedObject(Abstractions.GetExportedTypes().Single(type => type.Name == name)),
    };

    private static ChatOptions Option(string name)
    {
        Type token = Abstractions.GetType("Microsoft.Extensions.AI.ResponseContinuationToken")!;
        ChatOptions options = new();
        typeof(ChatOptions).GetProperty(name)!.SetValue(options, name switch
        {
            "AdditionalProperties" => new AdditionalPropertiesDictionary { ["chat_template_kwargs"] = new { prefill = "x" } },
            "AllowBackgroundResponses" => true,
            "AllowMultipleToolCalls" => false,
            "ContinuationToken" => token.GetMethod("FromBytes")!.Invoke(null, [new ReadOnlyMemory<byte>([1])]),
            "ConversationId" => "c",
            "FrequencyPenalty" or "PresencePenalty" or "Temperature" or "TopP" => 0.5f,
            "Instructions" => "Be brief.",
            "MaxOutputTokens" or "TopK" => 5,
            "ModelId" => "another",
            "RawRepresentationFactory" => (Func<IChatClient, object?>)(_ => new GenerationOptions { EntropyBound = 0.5 }),
            "Reasoning" => new ReasoningOptions { Effort = ReasoningEffort.High },
            "ResponseFormat" => ChatResponseFormat.Json,
            "Seed" => 5L,
            "StopSequences" => new List<string> { "STOP" },
            "ToolMode" => ChatToolMode.None,
            "Tools" => new List<AITool> { AIFunctionFactory.Create(() => "", "f") },
            _ => throw new InvalidDataException($"No value to try ChatOptions.{name} with."),
        });
        return options;
    }

    private static string Describe(ChatOptions options)
    {
        ChatRequest request = TestChat.Read([Question], options);
        return $"{TestChat.Text(request.Generation.Prompt)} {request.Generation.Options} {request.Parsing.AllowsToolCalls} "
            + $"{request.Parsing.EndsWithFirstToolCall} {JsonSerializer.Serialize(request.Parsing.StopSequences)} {request.KeepsReasoning}";
    }
}
