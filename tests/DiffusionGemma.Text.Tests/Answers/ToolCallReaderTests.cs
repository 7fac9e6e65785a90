using System.Text.Json;
using System.Text.Json.Nodes;

namespace DiffusionGemma;

public sealed class ToolCallReaderTests
{
    [Theory]
    [InlineData("call:f{}", "f", "{}")]
    [InlineData("call:tools.shell-exec{a:1}", "tools.shell-exec", """{"a":1}""")]
    [InlineData("""call:f{city:<|"|>San Francisco, CA<|"|>,unit:<|"|>c<|"|>}""", "f", """{"city":"San Francisco, CA","unit":"c"}""")]
    [InlineData("""call:f{code:<|"|>if (a[0] == '}') { "x"\n }<|"|>}""", "f", """{"code":"if (a[0] == '}') { \u0022x\u0022\\n }"}""")]
    [InlineData("""call:f{a:true,b:false,c:null,d:None,e:-1.5e3,f:12345678901234567890123,g:1.0}""", "f",
        """{"a":true,"b":false,"c":null,"d":null,"e":-1.5e3,"f":12345678901234567890123,"g":1.0}""")]
    [InlineData("""call:f{a:[],b:[1,<|"|>x<|"|>,[true]],c:{d:{}}}""", "f", """{"a":[],"b":[1,"x",[true]],"c":{"d":{}}}""")]
    [InlineData(""" call:f { a : 1 , b : <|"|>x<|"|> } """, "f", """{"a":1,"b":"x"}""")]
    [InlineData("""call:f{<|"|>a key<|"|>:1,"b":"x\ty","p":"C:\dir"}""", "f", """{"a key":1,"b":"x\ty","p":"C:\\dir"}""")]
    [InlineData("""call:f{city:Oslo west,version:1.2.3,zip:01234,minus:-}""", "f",
        """{"city":"Oslo west","version":"1.2.3","zip":"01234","minus":"-"}""")]
    [InlineData("""call:f{{"city": "Oslo"}}""", "f", """{"city":"Oslo"}""")]
    [InlineData("""call:f{{"city": "Oslo", "at": {{"h": 1}}, "l": [{{"a": 2}}, {"b": {}}]}}""", "f",
        """{"city":"Oslo","at":{"h":1},"l":[{"a":2},{"b":{}}]}""")]
    [InlineData("""call:f{{city:<|"|>Oslo<|"|>}}""", "f", """{"city":"Oslo"}""")]
    [InlineData("call:f{{}}", "f", "{}")]
    [InlineData("call:f{ { \"a\" : 1 }\n}", "f", """{"a":1}""")]
    [InlineData("""call:f{"city": "Oslo", "days": 2, "x": {"y": [true, null]}}""", "f",
        """{"city":"Oslo","days":2,"x":{"y":[true,null]}}""")]
    [InlineData("""call:f{'city': 'Oslo', 'it\'s': 'a "b" c', 'ok': True, 'no': None}""", "f",
        """{"city":"Oslo","it's":"a \u0022b\u0022 c","ok":true,"no":null}""")]
    [InlineData("call:f{a:'tis,b:it's}", "f", """{"a":"'tis","b":"it's"}""")]
    [InlineData("call:f{a:1,b:2,a:3}", "f", """{"a":3,"b":2}""")]
    [InlineData("""call:f{t:<|"|><|"|>,u:<|"|>日本 🌞<|"|>}""", "f", """{"t":"","u":"日本 🌞"}""")]
    [InlineData("f{a:1}", "f", """{"a":1}""")]
    [InlineData("call:f", "f", "{}")]
    [InlineData("call:f()", "f", "{}")]
    [InlineData("call:server:f{a:1}", "server:f", """{"a":1}""")]
    [InlineData("""call:f(city="Oslo", n=[1, 2], at=12:30, ok=True)""", "f", """{"city":"Oslo","n":[1,2],"at":"12:30","ok":true}""")]
    [InlineData("f({'a': 1})", "f", """{"a":1}""")]
    [InlineData("call:f{a=1}", "f", """{"a":1}""")]
    [InlineData("call:f{a:1,}", "f", """{"a":1}""")]
    [InlineData("call:f{a:1}}", "f", """{"a":1}""")]
    [InlineData("call:f{at:12:30,u:https://x.no/a?b=c}", "f", """{"at":"12:30","u":"https://x.no/a?b=c"}""")]
    [InlineData("""{"name": "f", "arguments": {"a": 1, "a": 2}}""", "f", """{"a":2}""")]
    [InlineData("""call:{"name": "f", "parameters": {"a": [null]}}""", "f", """{"a":[null]}""")]
    [InlineData("""[{"type": "function", "function": {"name": "f", "arguments": "{\"a\": \"é\"}"}}]""", "f", """{"a":"é"}""")]
    [InlineData("```json\n{\"name\": \"f\"}\n```", "f", "{}")]
    public void CallsAreRead(string text, string name, string arguments)
    {
        AnswerToolCall call = Assert.Single(ToolCallReader.Read(text));
        Assert.Equal(name, call.Name);
        Assert.True(JsonNode.DeepEquals(JsonNode.Parse(arguments), JsonSerializer.SerializeToNode(call.Arguments)), $"{call.Arguments}");
    }

    [Theory]
    [InlineData("call:a{}call:b{x:1}")]
    [InlineData("call:a{}, call:b{x:1}")]
    public void OneBlockMayHoldSeveralCalls(string text) => Assert.Equal(["a", "b"], ToolCallReader.Read(text).Select(call => call.Name));

    [Theory]
    [InlineData("")]
    [InlineData("call:{}")]
    [InlineData("call:bad name{}")]
    [InlineData("f")]
    [InlineData("call:f(1)")]
    [InlineData("call:f(a=1")]
    [InlineData("""{"name": "f", "arguments": [1]}""")]
    [InlineData("""{"name": "f", "arguments": "x"}""")]
    [InlineData("""[{"name": "f"}, {"x": 1}]""")]
    [InlineData("[]")]
    [InlineData("call:f{a}")]
    [InlineData("call:f{a:}")]
    [InlineData("call:f{a:1")]
    [InlineData("call:f{{a:1}")]
    [InlineData("call:f{{{a:1}}")]
    [InlineData("call:f{{a:1},b:2}")]
    [InlineData("call:f{a:1} then")]
    [InlineData("call:f{a:[1}")]
    [InlineData("""call:f{a:<|"|>x}""")]
    [InlineData("""call:f{a:[a<|"|>]}""")]
    [InlineData("""call:f{a:"x}""")]
    public void WhatIsNoCallIsRefusedWithAReason(string text) =>
        Assert.NotEmpty(Assert.Throws<FormatException>(() => ToolCallReader.Read(text)).Message);

    [Fact]
    public void DepthIsBounded()
    {
        string deep = string.Concat(Enumerable.Repeat("[", 100_000));
        Assert.Contains("nested", Assert.Throws<FormatException>(() => ToolCallReader.Read($"call:f{{a:{deep}")).Message,
            StringComparison.Ordinal);
        string fits = $"call:f{{a:{new string('[', 60)}{new string(']', 60)}}}";
        Assert.Single(ToolCallReader.Read(fits));
        Assert.Throws<FormatException>(() => ToolCallReader.Read($"call:f{{a:{new string('[', 64)}{new string(']', 64)}}}"));
    }

    /// <summary>Random arguments, written as the template does and as models do, and read back.</summary>
    [Theory]
    [InlineData(nameof(Written))]
    [InlineData(nameof(Doubled))]
    [InlineData(nameof(Json))]
    [InlineData(nameof(DoubledJson))]
    [InlineData(nameof(Python))]
    public void EveryFormOfArgumentsIsReadBack(string form)
    {
        Func<JsonNode?, string> write = form switch
        {
            nameof(Written) => Written,
            nameof(Doubled) => Doubled,
            nameof(Json) => Json,
            nameof(DoubledJson) => DoubledJson,
            _ => Python,
        };
        Random random = new(7);
        for (int n = 0; n < 1000; n++)
        {
            JsonObject arguments = Object(random, 3);
            AnswerToolCall call = Assert.Single(ToolCallReader.Read($"call:f{write(arguments)}"));
            Assert.Equal("f", call.Name);
            Assert.True(JsonNode.DeepEquals(arguments, JsonSerializer.SerializeToNode(call.Arguments)), write(arguments));
        }
    }

    [Fact]
    public void GarbageIsRefusedAndNothingElse()
    {
        Random random = new(8);
        string[] pieces = ["call:", "f", "{", "}", "[", "]", ",", ":", "<|\"|>", "\"", "\\", "\\u12", "\\ud800", "1", "-", "1e", "true",
            " ", "\n", "日", "<", "\uD83C\uDF1E"];
        for (int n = 0; n < 50_000; n++)
        {
            string text = (random.Next(2) == 0 ? "call:f{a:" : "")
                + string.Concat(Enumerable.Range(0, random.Next(12)).Select(_ => pieces[random.Next(pieces.Length)]));
            try
            {
                ToolCallReader.Read(text);
            }
            catch (FormatException)
            {
            }
        }
    }

    private static JsonObject Object(Random random, int depth) =>
        new(Enumerable.Range(0, random.Next(4)).Select(i => new KeyValuePair<string, JsonNode?>($"key_{i}", Value(random, depth - 1))));

    private static JsonNode? Value(Random random, int depth) => random.Next(depth > 0 ? 8 : 6) switch
    {
        0 => null,
        1 => random.Next(2) == 0,
        2 => random.Next(-1000, 1000),
        3 => JsonNode.Parse("-0.25e-7"),
        4 => "plain",
        5 => string.Concat(Enumerable.Range(0, random.Next(8))
            .Select(_ => "{}[],:\"\\<|> \n日".EnumerateRunes().ElementAt(random.Next(14)))),
        6 => new JsonArray([.. Enumerable.Range(0, random.Next(4)).Select(_ => Value(random, depth - 1))]),
        _ => Object(random, depth),
    };

    private static string Json(JsonNode? value) => value?.ToJsonString(new JsonSerializerOptions { WriteIndented = true }) ?? "null";

    private static string Doubled(JsonNode? value) => value switch
    {
        JsonObject o => $"{{{{{string.Join(", ", o.Select(item => $"{item.Key}: {Doubled(item.Value)}"))}}}}}",
        JsonArray a => $"[{string.Join(", ", a.Select(Doubled))}]",
        _ => Written(value),
    };

    private static string DoubledJson(JsonNode? value) => value switch
    {
        JsonObject o => $"{{{{{string.Join(", ", o.Select(item => $"\"{item.Key}\": {DoubledJson(item.Value)}"))}}}}}",
        JsonArray a => $"[{string.Join(", ", a.Select(DoubledJson))}]",
        _ => Json(value),
    };

    private static string Python(JsonNode? value) => value switch
    {
        null => "None",
        JsonObject o => $"{{{string.Join(", ", o.Select(item => $"'{item.Key}': {Python(item.Value)}"))}}}",
        JsonArray a => $"[{string.Join(", ", a.Select(Python))}]",
        JsonValue v when v.GetValueKind() == JsonValueKind.String =>
            $"'{v.GetValue<string>().Replace("\\", "\\\\", StringComparison.Ordinal).Replace("\n", "\\n", StringComparison.Ordinal)}'",
        JsonValue v when v.GetValueKind() is JsonValueKind.True or JsonValueKind.False => v.GetValue<bool>() ? "True" : "False",
        _ => value.ToJsonString(),
    };

    private static string Written(JsonNode? value) => value switch
    {
        null => "null",
        JsonObject o => $"{{{string.Join(",", o.Select(item => $"{item.Key}:{Written(item.Value)}"))}}}",
        JsonArray a => $"[{string.Join(",", a.Select(Written))}]",
        JsonValue v when v.GetValueKind() == JsonValueKind.String => $"<|\"|>{v.GetValue<string>()}<|\"|>",
        _ => value.ToJsonString(),
    };
}
