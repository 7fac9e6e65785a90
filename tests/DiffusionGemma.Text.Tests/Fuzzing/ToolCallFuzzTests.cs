using System.Text;

namespace DiffusionGemma;

public sealed class ToolCallFuzzTests
{
    private static readonly string[] Originals =
    [
        """<|tool_call>call:weather{city:<|"|>Oslo<|"|>,days:3,units:{t:<|"|>C<|"|>},list:[1,-2.5e3,true,null]}<tool_call|>""",
        """text <|channel>thought about it<channel|> more <|tool_call>call:a{}<tool_call|><|tool_call>call:b{{"x":'y'}}<tool_call|>""",
        """<|tool_call>call:f{a:[[[{b:[None,True,False,word]}]]],"c d":1}, call:g{z:0}<tool_call|><turn|>""",
    ];

    private static readonly string[] Pieces =
    [
        "<|tool_call>", "<tool_call|>", "call:", "{", "}", "[", "]", ",", ":", "<|\"|>", "\"", "'", "\\", "\\u00", "\ud800", "1e999", "-",
        "null", "<|channel>thought", "<channel|>", "[[[[[[[[[[[[[[[[[[[[[[[[", "{a:{a:{a:{a:{a:", "\0",
        "9999999999999999999999", "<turn|>", " ",
    ];

    /// <summary>Whatever a model answers, it is parts, of which a call that cannot be read is one.</summary>
    [Fact]
    public void BrokenCallsBecomeParts()
    {
        DiffusionGemmaTokenizer tokenizer = DiffusionGemmaTokenizer.Load(Path.Combine(Fixtures.Checkpoint("tiny-chat"), "tokenizer.json"));
        new MutationFuzzer
        {
            Name = "tool-call",
            Make = random => Encoding.UTF8.GetBytes(Mutations.OfText(random, Originals[random.Next(Originals.Length)], Pieces)),
            Read = input =>
            {
                ParsedAnswer answer = ParsedAnswer.Parse(tokenizer, Encoding.UTF8.GetString(input));
                Assert.All(answer.MalformedToolCalls, call => Assert.NotEmpty(call.Reason));
                _ = answer.ToolCallsJson();
                try
                {
                    Assert.NotEmpty(ToolCallReader.Read(Encoding.UTF8.GetString(input)));
                }
                catch (FormatException e)
                {
                    Assert.NotEmpty(e.Message);
                }
            },
        }.Run();
    }
}
