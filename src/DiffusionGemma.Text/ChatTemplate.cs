using System.Text.Json;
using DiffusionGemma.Text;
using DiffusionGemma.Text.Jinja;
using DiffusionGemma.Text.Jinja.Syntax;
using DiffusionGemma.Text.Jinja.Values;
using DiffusionGemma.Text.Tokenization;

namespace DiffusionGemma;

/// <summary>
/// A checkpoint's chat template: Jinja2, carried out as Python's jinja2 does under transformers' settings (trim_blocks, lstrip_blocks,
/// loop controls, <c>{% generation %}</c>, raise_exception, strftime_now). Steps, length and depth are bounded. One instance may be used by many threads.
/// </summary>
public sealed class ChatTemplate
{
    private const string FileName = "chat_template.jinja";
    private const string DefaultName = "default";

    private readonly Block _template;
    private readonly IReadOnlyDictionary<string, string> _specialTokens;
    private readonly TimeProvider _clock;

    private ChatTemplate(string source, IReadOnlyDictionary<string, string> specialTokens, TimeProvider? clock, string? path)
    {
        Source = source;
        _specialTokens = specialTokens;
        _clock = clock ?? TimeProvider.System;
        try
        {
            _template = StatementParser.Parse(source, out bool hasGeneration);
            HasGenerationBlocks = hasGeneration;
        }
        catch (TemplateException exception)
        {
            string where = path is null ? "" : $"{path}: ";
            throw new ChatException($"{where}the chat template cannot be read, line {exception.Line}: {exception.Message}.", exception) { TemplateLine = exception.Line };
        }
    }

    /// <summary>The template's text.</summary>
    public string Source { get; }

    /// <summary>Whether the template marks with <c>{% generation %}</c> what the assistant writes.</summary>
    public bool HasGenerationBlocks { get; }

    /// <summary>
    /// Reads a folder's chat_template.jinja, or else the chat_template of its tokenizer_config.json (a text, or a list of named ones of
    /// which "default" is taken). The variables bos_token, eos_token and their kin come from tokenizer_config.json.
    /// </summary>
    /// <param name="folder">The checkpoint's folder.</param>
    /// <param name="clock">What strftime_now asks; null: the system's.</param>
    /// <exception cref="FileNotFoundException">The folder holds no chat template.</exception>
    /// <exception cref="InvalidDataException">tokenizer_config.json is broken.</exception>
    /// <exception cref="ChatException">The template cannot be read; the message has the line.</exception>
    public static ChatTemplate Load(string folder, TimeProvider? clock = null)
    {
        ArgumentException.ThrowIfNullOrEmpty(folder);
        IReadOnlyDictionary<string, string> tokens = SpecialTokens.Load(folder).Tokens;
        string path = Path.Combine(folder, FileName);
        if (File.Exists(path))
            return new ChatTemplate(File.ReadAllText(path), tokens, clock, path);
        path = Path.Combine(folder, SpecialTokens.FileName);
        string source = ReadFromConfig(path) ?? throw new FileNotFoundException(
            $"No chat template in {folder}: neither a {FileName} nor a chat_template in {SpecialTokens.FileName}.", Path.Combine(folder, FileName));
        return new ChatTemplate(source, tokens, clock, path);
    }

    /// <summary>Reads a template's text; it has no variables for special tokens.</summary>
    /// <param name="source">Jinja2.</param>
    /// <param name="clock">What strftime_now asks; null: the system's.</param>
    /// <exception cref="ChatException">The template cannot be read; the message has the line.</exception>
    public static ChatTemplate Parse(string source, TimeProvider? clock = null)
    {
        ArgumentNullException.ThrowIfNull(source);
        return new ChatTemplate(source, SpecialTokens.None.Tokens, clock, path: null);
    }

    /// <summary>Writes a conversation.</summary>
    /// <param name="conversation">Its messages, tools and template arguments become the template's variables.</param>
    /// <param name="addGenerationPrompt">Whether the template shall end with the head of the assistant's turn.</param>
    /// <exception cref="ChatException">The template refuses the conversation, or fails; the message has the line.</exception>
    public RenderedChat Render(ChatConversation conversation, bool addGenerationPrompt)
    {
        ArgumentNullException.ThrowIfNull(conversation);
        return Render(conversation.TemplateVariables, addGenerationPrompt);
    }

    internal RenderedChat Render(IEnumerable<KeyValuePair<string, object?>> variables, bool addGenerationPrompt)
    {
        List<KeyValuePair<string, object?>> all = [.. _specialTokens.Select(token => new KeyValuePair<string, object?>(token.Key, token.Value))];
        all.AddRange(variables);
        all.Add(new("add_generation_prompt", addGenerationPrompt));
        Interpreter interpreter = new(_clock);
        try
        {
            TextOutput page = interpreter.Render(_template, all);
            return new RenderedChat(page.ToString(), page.Generated);
        }
        catch (TemplateException exception)
        {
            int line = exception.Line ?? interpreter.Line;
            string message = exception.IsRaisedByTemplate
                ? $"The chat template refuses the conversation (line {line}): {exception.Message}"
                : $"The chat template fails at line {line}: {exception.Message}.";
            throw new ChatException(message, exception) { TemplateLine = line, TemplateWords = exception.IsRaisedByTemplate ? exception.Message : null };
        }
    }

    private static string? ReadFromConfig(string path)
    {
        if (!File.Exists(path))
            return null;
        using JsonDocument document = JsonFile.ReadObject(path);
        if (!document.RootElement.TryGetProperty("chat_template", out JsonElement template))
            return null;
        switch (template.ValueKind)
        {
            case JsonValueKind.Null:
                return null;
            case JsonValueKind.String:
                return template.GetString();
            case JsonValueKind.Array:
                foreach (JsonElement named in template.EnumerateArray())
                {
                    if (StringOf(named, "name") == DefaultName && StringOf(named, "template") is { } source)
                        return source;
                }
                throw new InvalidDataException($"{path}: none of the templates in 'chat_template' is named '{DefaultName}'.");
            default:
                throw new InvalidDataException($"{path}: 'chat_template' is {template.ValueKind}, where a text or a list of named ones is expected.");
        }
    }

    private static string? StringOf(JsonElement element, string property) =>
        element.ValueKind == JsonValueKind.Object && element.TryGetProperty(property, out JsonElement value) && value.ValueKind == JsonValueKind.String
            ? value.GetString() : null;
}
