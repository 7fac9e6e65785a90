using System.Text.Json;
using DiffusionGemma.Typed;
using Microsoft.ML;
using Microsoft.ML.Data;

namespace DiffusionGemma.Data;

/// <summary>Typed rows as conversations: what is learned is what the grammar writes, and what is asked is what Extract asks.</summary>
public sealed class TypedChatTests
{
    private static readonly Order Pens = new()
    {
        Item = new Item { Code = 7 }, Count = 2, IsUrgent = true, Paint = Order.Color.Green, Weight = 0.5f,
    };

    private readonly MLContext _ml = new();

    [Fact]
    public void Answers_are_written_as_the_grammar_writes_them()
    {
        IDataView view = _ml.Data.LoadChat([("two pens", Pens)], "Read the order.");
        const string Answer =
            """{"item":{"code":7,"isNew":null},"count":2,"isUrgent":true,"paint":"Green","discount":null,"weight":0.5}""";
        Assert.Equal([("system", "Read the order."), ("user", "two pens"), ("assistant", Answer)], Messages(view)[0]);
        Assert.True(AnswerGrammar.Json<Order>().Accepts(Answer));
    }

    [Fact]
    public void Labels_and_inputs_are_texts_or_JSON()
    {
        Assert.Equal([("user", """{"code":1,"isNew":true}"""), ("assistant", "Red")],
            Messages(_ml.Data.LoadChat([(new Item { Code = 1, IsNew = true }, Order.Color.Red)]))[0]);
        Assert.Equal([("user", "ü \"x\""), ("assistant", "a label")], Messages(_ml.Data.LoadChat([("ü \"x\"", "a label")]))[0]);
        Assert.Equal([("user", "a"), ("assistant", "[1,2]")], Messages(_ml.Data.LoadChat([("a", new[] { 1, 2 })]))[0]);
    }

    [Fact]
    public void The_prompt_is_the_one_that_Extract_asks_with()
    {
        IDataView view = _ml.Data.LoadChat(
            [("two pens", Pens)], new TypedChatOptions { Instructions = "Read.", SchemaInPrompt = true });
        (string Role, string Content)[] row = Messages(view)[0];
        string schema = AnswerGrammar.Json<Order>().Source;
        Assert.EndsWith(schema, row[0].Content, StringComparison.Ordinal);
        var asked = new TypedPrompt("Read.", schema);
        Assert.Equal(asked.ToJson("two pens", row[2].Content), view.GetColumn<string>("Messages").Single());
    }

    [Fact]
    public void A_row_that_the_grammar_could_not_answer_is_named()
    {
        (string, double)[] rows = [("a", 0.5), ("b", 1e300)];
        ChatDataException fault = Assert.ThrowsAny<Exception>(() => Messages(_ml.Data.LoadChat(rows)))
            .GetBaseExceptionOf<ChatDataException>();
        Assert.Equal(1, fault.Row);
        Assert.Contains("no text of its type's grammar: 1E+300", fault.Message, StringComparison.Ordinal);
        Assert.Contains("is null", Assert.ThrowsAny<Exception>(() => Messages(_ml.Data.LoadChat([("a", (string)null!)])))
            .GetBaseExceptionOf<ChatDataException>().Message, StringComparison.Ordinal);
        Assert.Contains("cannot be written", Assert.ThrowsAny<Exception>(() => Messages(_ml.Data.LoadChat([("\ud800", "b")])))
            .GetBaseExceptionOf<ChatDataException>().Message, StringComparison.Ordinal);
        Assert.Throws<GrammarException>(() => _ml.Data.LoadChat([("a", new ExtractionTests.Anything())]));
        Assert.Throws<ArgumentException>(() => _ml.Data.LoadChat([("a", "b")], new TypedChatOptions { SchemaInPrompt = true }));
    }

    private static (string Role, string Content)[][] Messages(IDataView view) => [.. view.GetColumn<string>("Messages").Select(row =>
        JsonDocument.Parse(row).RootElement.EnumerateArray().Select(message =>
            (message.GetProperty("role").GetString()!, message.GetProperty("content").GetString()!)).ToArray())];
}
