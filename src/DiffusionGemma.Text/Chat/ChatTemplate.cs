using System.Text;
using System.Text.Json;
using DiffusionGemma.Jinja;

namespace DiffusionGemma;

/// <summary>
/// A checkpoint's chat template: Jinja2, carried out as Python's jinja2 does under transformers' settings (trim_blocks, lstrip_blocks,
/// loop controls, <c>{% generation %}</c>, raise_exception, strftime_now). Steps, length and depth are bounded. One instance may be used by
/// many threads.
/// </summary>
public sealed class ChatTemplate
{
    private const string FileName = "chat_template.jinja";
    private const string FolderOfOthers = "additional_chat_templates";
    private const string DefaultName = "default";
    private const string ToolUseName = "tool_use";

    private static readonly UTF8Encoding Utf8 = new(encoderShouldEmitUTF8Identifier: false, throwOnInvalidBytes: true);

    private readonly Block _template;
    private readonly ChatTemplate? _toolUse;
    private readonly IReadOnlyDictionary<string, string> _specialTokens;
    private readonly TimeProvider _clock;
    private readonly Lazy<(int Line, string Message)?> _plainFault;

    private ChatTemplate(
        string source, IReadOnlyDictionary<string, string> specialTokens, TimeProvider? clock, string? path, ChatTemplate? toolUse = null)
    {
        Source = source;
        _toolUse = toolUse;
        _plainFault = new Lazy<(int Line, string Message)?>(FindPlainFault);
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
            throw new ChatException(
                $"{where}the chat template cannot be read, line {exception.Line}: {exception.Message}.",
                exception)
            { TemplateLine = exception.Line, IsTemplateFault = true };
        }
    }

    /// <summary>The template's text.</summary>
    public string Source { get; }

    /// <summary>True if the template marks the assistant's text with <c>{% generation %}</c>.</summary>
    public bool HasGenerationBlocks { get; }

    /// <summary>
    /// Reads a folder's chat_template.jinja (and those of additional_chat_templates), or else the chat_template of its
    /// tokenizer_config.json: a text, or a list of named ones. Of several "default" is taken, and for a conversation with tools "tool_use"
    /// where there is one, as transformers does. The variables bos_token, eos_token and their kin come from tokenizer_config.json.
    /// </summary>
    /// <param name="folder">The checkpoint's folder.</param>
    /// <param name="clock">What strftime_now asks; null: the system's.</param>
    /// <exception cref="FileNotFoundException">The folder holds no chat template.</exception>
    /// <exception cref="InvalidDataException">tokenizer_config.json is broken, or a template is no UTF-8.</exception>
    /// <exception cref="ChatException">The template cannot be read; the message has the line.</exception>
    public static ChatTemplate Load(string folder, TimeProvider? clock = null)
    {
        ArgumentException.ThrowIfNullOrEmpty(folder);
        IReadOnlyDictionary<string, string> tokens = SpecialTokens.Load(folder).Tokens;
        IReadOnlyDictionary<string, (string Path, string Source)> sources = ReadFiles(folder);
        if (sources.Count == 0)
            sources = ReadFromConfig(Path.Combine(folder, SpecialTokens.FileName));
        if (sources.Count == 0)
            throw new FileNotFoundException(
                $"No chat template in {folder}: neither a {FileName} nor a chat_template in {SpecialTokens.FileName}.",
                Path.Combine(folder, FileName));
        if (!sources.TryGetValue(DefaultName, out var chosen))
            throw new InvalidDataException(
                $"{sources.Values.First().Path}: none of the chat templates ({string.Join(", ", sources.Keys)}) is named '{DefaultName}'.");
        ChatTemplate? toolUse = sources.TryGetValue(ToolUseName, out var tools)
            ? new ChatTemplate(tools.Source, tokens, clock, tools.Path) : null;
        return new ChatTemplate(chosen.Source, tokens, clock, chosen.Path, toolUse);
    }

    /// <summary>
    /// Reads a template of one's own in place of a folder's; the variables bos_token, eos_token and their kin come from the folder's
    /// tokenizer_config.json.
    /// </summary>
    /// <param name="folder">The checkpoint's folder.</param>
    /// <param name="file">The template: a text of Jinja2, as a chat_template.jinja.</param>
    /// <param name="clock">What strftime_now asks; null: the system's.</param>
    /// <exception cref="FileNotFoundException">There is no such file.</exception>
    /// <exception cref="InvalidDataException">tokenizer_config.json is broken, or the template is no UTF-8.</exception>
    /// <exception cref="ChatException">The template cannot be read; the message has the line.</exception>
    public static ChatTemplate LoadFile(string folder, string file, TimeProvider? clock = null)
    {
        ArgumentException.ThrowIfNullOrEmpty(folder);
        ArgumentException.ThrowIfNullOrEmpty(file);
        if (!File.Exists(file))
            throw new FileNotFoundException($"There is no chat template at {Path.GetFullPath(file)}.", file);
        return new ChatTemplate(ReadText(file), SpecialTokens.Load(folder).Tokens, clock, file);
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
        return new ConversationRenderer(For(conversation), addGenerationPrompt).Render(conversation);
    }

    /// <summary>
    /// Finds the keys of a conversation that have a value and never reach the rendered text: keys of messages, such as
    /// <c>reasoning_content</c> or <c>weight</c>, and keys beside them, such as <c>tools</c>. Renders once more for each key.
    /// </summary>
    /// <param name="conversation">A row's conversation.</param>
    /// <returns>
    /// Names of keys; a name that occurs in several messages is ignored in all of them. Where a message's content is not written at all,
    /// <c>content of</c> and its role, such as <c>content of system</c>; where the last answer's content loses a thought, <c>thought in
    /// content</c>.
    /// </returns>
    /// <exception cref="ChatException">The template refuses the conversation, or fails; the message has the line.</exception>
    public IReadOnlyList<string> FindIgnoredKeys(ChatConversation conversation)
    {
        ArgumentNullException.ThrowIfNull(conversation);
        return IgnoredKeys.Find(this, conversation);
    }

    /// <summary>The template that writes the conversation: this one, or the one beside it for conversations with tools.</summary>
    internal ChatTemplate For(ChatConversation conversation) => conversation.HasTools && _toolUse is not null ? _toolUse : this;

    internal RenderedChat Render(IEnumerable<KeyValuePair<string, object?>> variables, bool addGenerationPrompt) =>
        RenderAndWatch(variables, addGenerationPrompt).Chat;

    /// <summary>Renders, and says which values were printed in Python's form.</summary>
    internal (RenderedChat Chat, IReadOnlyList<object?> Printed) RenderAndWatch(
        IEnumerable<KeyValuePair<string, object?>> variables, bool addGenerationPrompt)
    {
        Interpreter interpreter = new(_clock);
        try
        {
            return Execute(interpreter, variables, addGenerationPrompt);
        }
        catch (TemplateException exception)
        {
            int line = exception.Line ?? interpreter.Line;
            if (exception.IsRaisedByTemplate)
                throw new ChatException($"The chat template refuses the conversation (line {line}): {exception.Message}", exception)
                {
                    TemplateLine = line,
                    TemplateWords = exception.Message,
                };
            throw new ChatException($"The chat template fails at line {line}: {exception.Message}.", exception)
            {
                TemplateLine = line,
                IsTemplateFault = (line, exception.Message) == _plainFault.Value,
            };
        }
    }

    private (RenderedChat Chat, IReadOnlyList<object?> Printed) Execute(
        Interpreter interpreter, IEnumerable<KeyValuePair<string, object?>> variables, bool addGenerationPrompt)
    {
        List<KeyValuePair<string, object?>> all =
            [.. _specialTokens.Select(token => new KeyValuePair<string, object?>(token.Key, token.Value))];
        all.AddRange(variables);
        all.Add(new("add_generation_prompt", addGenerationPrompt));
        TextOutput page = interpreter.Render(_template, all);
        RenderedChat chat = new(page.ToString(), [.. page.Generated.Select(span => new TextSpan(span.Start, span.End))]);
        return (chat, interpreter.Budget.Printed);
    }

    /// <summary>Line and message of the failure on a plain question and answer; null where there is none.</summary>
    private (int Line, string Message)? FindPlainFault()
    {
        Interpreter interpreter = new(_clock);
        try
        {
            Execute(interpreter, ChatConversation.Of(("user", "Hello"), ("assistant", "Hello")).TemplateVariables,
                addGenerationPrompt: false);
            Execute(interpreter, ChatConversation.Of(("user", "Hello")).TemplateVariables, addGenerationPrompt: true);
            return null;
        }
        catch (TemplateException exception)
        {
            return (exception.Line ?? interpreter.Line, exception.Message);
        }
    }

    private static Dictionary<string, (string Path, string Source)> ReadFiles(string folder)
    {
        Dictionary<string, (string, string)> sources = [];
        string path = Path.Combine(folder, FileName), others = Path.Combine(folder, FolderOfOthers);
        if (File.Exists(path))
            sources[DefaultName] = (path, ReadText(path));
        if (Directory.Exists(others))
        {
            foreach (string other in Directory.EnumerateFiles(others, "*.jinja").Order(StringComparer.Ordinal))
                sources[Path.GetFileNameWithoutExtension(other)] = (other, ReadText(other));
        }
        return sources;
    }

    /// <summary>As Python reads it: strict UTF-8, and a byte order mark is a character of the template.</summary>
    private static string ReadText(string path)
    {
        try
        {
            return Utf8.GetString(File.ReadAllBytes(RegularFile.Require(path)));
        }
        catch (DecoderFallbackException exception)
        {
            throw new InvalidDataException($"{path}: the chat template is not valid UTF-8: {exception.Message}", exception);
        }
    }

    private static Dictionary<string, (string Path, string Source)> ReadFromConfig(string path)
    {
        Dictionary<string, (string, string)> sources = [];
        if (!File.Exists(path))
            return sources;
        using JsonDocument document = JsonFile.ReadObject(path);
        if (!document.RootElement.TryGetProperty("chat_template", out JsonElement template))
            return sources;
        switch (template.ValueKind)
        {
            case JsonValueKind.Null:
                break;
            case JsonValueKind.String:
                sources[DefaultName] = (path, template.GetString()!);
                break;
            case JsonValueKind.Array:
                foreach (JsonElement named in template.EnumerateArray())
                    sources[StringOf(named, "name") ?? throw Malformed()] = (path, StringOf(named, "template") ?? throw Malformed());
                break;
            default:
                throw new InvalidDataException(
                    $"{path}: 'chat_template' is {template.ValueKind}, where a text or a list of named ones is expected.");
        }
        return sources;

        InvalidDataException Malformed() =>
            new($"{path}: 'chat_template' is a list, and an item of it is no object with a 'name' and a 'template'.");
    }

    private static string? StringOf(JsonElement element, string property) =>
        element.ValueKind == JsonValueKind.Object && element.TryGetProperty(property, out JsonElement value)
            && value.ValueKind == JsonValueKind.String
            ? value.GetString() : null;
}
