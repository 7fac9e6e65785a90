using Microsoft.Extensions.AI;

namespace DiffusionGemma;

/// <summary>tiny-chat's tokenizer, which has all of Gemma's markers, and a template with tools in Gemma 4's manner.</summary>
internal static class TestChat
{
    public const string Model = "scripted";

    /// <summary>Ours; no released template.</summary>
    private const string Source = """
        {%- macro value(item) -%}
            {%- if item is none -%}null
            {%- elif item is string -%}<|"|>{{ item }}<|"|>
            {%- elif item is boolean -%}{{ 'true' if item else 'false' }}
            {%- elif item is mapping -%}{ {%- for key, inner in item | dictsort -%}
                {{- ',' if not loop.first }}{{ key }}:{{ value(inner) -}}
            {%- endfor -%} }
            {%- elif item is sequence -%}[ {%- for inner in item -%}{{ ',' if not loop.first }}{{ value(inner) }}{%- endfor -%} ]
            {%- else -%}{{ item }}
            {%- endif -%}
        {%- endmacro -%}
        {%- set ns = namespace(rest=messages, after='') -%}
        {%- if tools or enable_thinking or messages[0].role == 'system' -%}
            {{- '<|turn>system\n' -}}
            {%- if enable_thinking -%}<|think|>{%- endif -%}
            {%- if messages[0].role == 'system' -%}{{- messages[0].content -}}{%- set ns.rest = messages[1:] -%}{%- endif -%}
            {%- for tool in tools or [] -%}
                <|tool>declaration:{{ tool.function.name }}{description:{{ value(tool.function.description) }},parameters:
                {{- value(tool.function.parameters) }}}<tool|>
            {%- endfor -%}
            {{- '<turn|>\n' -}}
        {%- endif -%}
        {%- for message in ns.rest -%}
            {%- if message.role == 'tool' -%}
                <|tool_response>response:{{ message.name }}
                {{- value(message.content) if message.content is mapping else '{value:' ~ value(message.content) ~ '}' }}<tool_response|>
                {%- set ns.after = 'result' -%}
            {%- else -%}
                {{- '<|turn>' + ('model' if message.role == 'assistant' else message.role) + '\n' -}}
                {%- if message.reasoning and message.tool_calls -%}
                    {{- '<|channel>thought\n' + message.reasoning + '\n<channel|>' -}}
                {%- endif -%}
                {{- message.content -}}
                {%- for call in message.tool_calls or [] -%}
                    <|tool_call>call:{{ call.function.name }}{{ value(call.function.arguments) }}<tool_call|>
                {%- endfor -%}
                {%- if not message.tool_calls -%}{{- '<turn|>\n' -}}{%- endif -%}
                {%- set ns.after = '' -%}
            {%- endif -%}
        {%- endfor -%}
        {%- if add_generation_prompt and not ns.after -%}{{- '<|turn>model\n' -}}{%- endif -%}
        {{- prefill | default('') -}}
        """;

    public static DiffusionGemmaTokenizer Tokenizer { get; } = DiffusionGemmaTokenizer.Load(Fixtures.Checkpoint("tiny-chat"));

    public static ChatTokenizer Chat { get; } = new(Tokenizer, ChatTemplate.Parse(Source));

    /// <summary>Ids; markers in the text become their tokens.</summary>
    public static int[] Ids(string text) => [.. Tokenizer.EncodeToIds(text)];

    /// <summary>Ids of the single characters: a marker is spelled out.</summary>
    public static int[] Spelled(string text) => [.. text.EnumerateRunes().SelectMany(rune => Tokenizer.EncodeToIds(rune.ToString()))];

    public static string Text(IEnumerable<int> ids) => Tokenizer.Decode(ids);

    public static DiffusionGemmaChatClient Client(ScriptedEngine engine, bool streamsDrafts = false) =>
        new(engine, Chat, Model) { StreamsDrafts = streamsDrafts };

    /// <summary>A client that always says this, in canvases of some tokens.</summary>
    public static DiffusionGemmaChatClient Saying(string text, int canvas = 4) => Client(new ScriptedEngine(_ => Ids(text).Chunk(canvas)));

    /// <summary>The request that a client would make.</summary>
    public static ChatRequest Read(IEnumerable<ChatMessage> messages, ChatOptions? options = null)
    {
        using DiffusionGemmaChatClient client = Saying("");
        return new ChatRequestReader(Chat, Model).Read(client, messages, options);
    }

    /// <summary>The prompt's text that a request comes to.</summary>
    public static string Prompt(IEnumerable<ChatMessage> messages, ChatOptions? options = null) =>
        Text(Read(messages, options).Generation.Prompt);

    /// <summary>Contents in one line each; neighbours of one kind are one.</summary>
    public static string Describe(IEnumerable<AIContent> contents)
    {
        List<(string Kind, string Text)> lines = [];
        foreach (AIContent content in contents)
        {
            (string kind, string text) = content switch
            {
                TextContent said => ("text", said.Text),
                TextReasoningContent thought => ("thought", thought.Text),
                FunctionCallContent call => ("call", $"{call.Name} {System.Text.Json.JsonSerializer.Serialize(call.Arguments)}"),
                ErrorContent error => ("error", $"{error.Message}|{error.Details}"),
                _ => (content.GetType().Name, ""),
            };
            if (kind is "text" or "thought" && lines is [.., var last] && last.Kind == kind) lines[^1] = (kind, last.Text + text);
            else lines.Add((kind, text));
        }
        return string.Join("\n", lines.Select(line => $"{line.Kind}: {line.Text.Replace("\n", "\\n", StringComparison.Ordinal)}"));
    }
}
