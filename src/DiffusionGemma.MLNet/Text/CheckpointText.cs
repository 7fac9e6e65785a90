using System.Collections.Concurrent;
using System.Security.Cryptography;
using System.Text;
using Microsoft.ML;

namespace DiffusionGemma;

/// <summary>Tokenizer and chat template of a checkpoint, as files in memory.</summary>
/// <remarks>
/// They are small compared with the weights and are part of saved models, so that a loaded model tokenizes without a folder. Equal files
/// are held and parsed once in a process.
/// </remarks>
internal sealed class CheckpointText
{
    private const string TemplateName = "chat_template.jinja";
    private static readonly string[] FileNames = ["tokenizer.json", "tokenizer_config.json", TemplateName];
    private const string OtherTemplates = "additional_chat_templates";
    private static readonly ConcurrentDictionary<string, WeakReference<CheckpointText>> Known = new();

    private readonly FileBundle _files;
    private readonly Lazy<ChatTokenizer> _tokenizer;
    private readonly Lazy<GrammarVocabulary> _vocabulary;

    private CheckpointText(FileBundle files, string? folder, string? chatTemplate)
    {
        _files = files;
        _tokenizer = new Lazy<ChatTokenizer>(() => Parse(files, folder, chatTemplate) is var parsed
            && !string.IsNullOrWhiteSpace(parsed.Template.Source) ? parsed : throw new InvalidDataException(
                $"{chatTemplate ?? folder ?? "The saved model"}: the chat template is empty, and no prompt would have a word."));
        _vocabulary = new Lazy<GrammarVocabulary>(() => new GrammarVocabulary(Tokenizer.Tokenizer.VocabularyBytes, FindEnding(Tokenizer)));
    }

    /// <summary>The tokenizer, parsed at first use and safe for several threads.</summary>
    /// <exception cref="InvalidDataException">The chat template is empty.</exception>
    public ChatTokenizer Tokenizer => _tokenizer.Value;

    /// <summary>The same files read with other options.</summary>
    public ChatTokenizer MakeTokenizer(ChatTokenizerOptions options) =>
        options == Tokenizer.Options ? Tokenizer : new ChatTokenizer(Tokenizer.Tokenizer, Tokenizer.Template, options);

    /// <summary>The vocabulary as grammars take it, and the automata that were made for it.</summary>
    public GrammarVocabulary Vocabulary => _vocabulary.Value;

    /// <summary>Options whose grammar has a vocabulary: the tokenizer's own where none is set.</summary>
    public GenerationOptions Complete(GenerationOptions options) =>
        options is { Grammar: not null, Vocabulary: null } ? options with { Vocabulary = Vocabulary } : options;

    /// <param name="folder">The checkpoint's folder.</param>
    /// <param name="chatTemplate">The file of a chat template in place of all of the checkpoint's; null: its own.</param>
    /// <exception cref="FileNotFoundException">The folder has no tokenizer.json, or the template is not there.</exception>
    public static CheckpointText Read(string folder, string? chatTemplate = null)
    {
        ArgumentException.ThrowIfNullOrEmpty(folder);
        if (!Directory.Exists(folder))
        {
            throw new DirectoryNotFoundException(
                $"There is no folder {Path.GetFullPath(folder)}: give the folder of a DiffusionGemma checkpoint, or its id on the Hub "
                    + $"(org/name).");
        }
        string tokenizer = Path.Combine(folder, FileNames[0]);
        if (!File.Exists(tokenizer))
            throw new FileNotFoundException(
                $"There is no {FileNames[0]} in {Path.GetFullPath(folder)}: name the folder of a DiffusionGemma checkpoint.", tokenizer);
        if (chatTemplate is not null)
        {
            if (!File.Exists(chatTemplate))
                throw new FileNotFoundException($"There is no chat template at {Path.GetFullPath(chatTemplate)}.", chatTemplate);
            return With(folder, File.ReadAllBytes(RegularFile.Require(chatTemplate)), chatTemplate);
        }
        string others = Path.Combine(folder, OtherTemplates);
        IEnumerable<string> templates = Directory.Exists(others)
            ? Directory.EnumerateFiles(others, "*.jinja").Select(path => $"{OtherTemplates}/{Path.GetFileName(path)}") : [];
        return Shared(FileBundle.Read(folder, [.. FileNames, .. templates]), folder, chatTemplate: null);
    }

    /// <summary>The text of a folder for a model that is fitted on rows.</summary>
    /// <param name="folder">The checkpoint's folder.</param>
    /// <param name="own">The folder's text, or that of a template that the caller named.</param>
    /// <param name="schema">The rows' schema; they may have been tokenized with another template.</param>
    public static CheckpointText ForRows(string folder, CheckpointText own, DataViewSchema schema) =>
        TemplateAnnotation.Find(schema) is { } template && template != own.Tokenizer.Template.Source
            ? With(folder, Encoding.UTF8.GetBytes(template), file: null) : own;

    private static CheckpointText With(string folder, byte[] template, string? file)
    {
        FileBundle files = FileBundle.Read(folder, FileNames);
        files.Set(TemplateName, template);
        return Shared(files, file is null ? null : folder, file);
    }

    public static CheckpointText Load(ModelLoadContext ctx) => Shared(FileBundle.Load(ctx), folder: null, chatTemplate: null);

    public void Save(ModelSaveContext ctx) => _files.Save(ctx);

    private static CheckpointText Shared(FileBundle files, string? folder, string? chatTemplate)
    {
        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        foreach ((string name, byte[] content) in files.Files)
        {
            hash.AppendData(Encoding.UTF8.GetBytes(name));
            hash.AppendData(BitConverter.GetBytes(content.LongLength));
            hash.AppendData(content);
        }
        string key = Convert.ToHexString(hash.GetHashAndReset());
        WeakReference<CheckpointText> reference = Known.GetOrAdd(key,
            _ => new WeakReference<CheckpointText>(new CheckpointText(files, folder, chatTemplate)));
        lock (reference)
        {
            if (!reference.TryGetTarget(out CheckpointText? text))
                reference.SetTarget(text = new CheckpointText(files, folder, chatTemplate));
            return text;
        }
    }

    /// <summary>Finds the tokens that the chat template writes after an answer.</summary>
    private static AnswerEnding FindEnding(ChatTokenizer tokenizer)
    {
        int end = tokenizer.Tokenizer.EosId
            ?? throw new InvalidDataException("The tokenizer names no eos_token, which fills a canvas after its answer.");
        int[] after = [.. tokenizer.EncodeAnswerEnd(ChatConversation.Of(("user", "a"))).Where(id => id != end)];
        return new AnswerEnding(end, after.Length == 0 ? null : after[0], after.Length == 0 ? [] : after[1..]);
    }

    /// <summary>Parses the files in memory, and names the files that they were read from in errors.</summary>
    private static ChatTokenizer Parse(FileBundle files, string? folder, string? chatTemplate)
    {
        try
        {
            return files.AsFolder(ChatTokenizer.Load);
        }
        catch (Exception error) when (folder is not null && error is ChatException or InvalidDataException or FileNotFoundException)
        {
            return ChatTokenizer.Load(folder!, chatTemplate);
        }
    }
}
