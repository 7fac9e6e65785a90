using YamlDotNet.Core;
using YamlDotNet.Core.Events;

namespace DiffusionGemma;

/// <summary>Reads YAML into nodes with their lines, within limits that no recipe comes near.</summary>
/// <remarks>
/// An alias stands for the node itself and not for a copy of it, so that aliases of aliases cost nothing; a merge key (<c>&lt;&lt;</c>)
/// copies the entries of one level.
/// </remarks>
internal sealed class RecipeYaml
{
    public const int MaxBytes = 1 << 20;
    public const int MaxDepth = 32;
    public const int MaxNodes = 20_000;

    private const string MergeKey = "<<";
    private const string StandardTags = "tag:yaml.org,2002:";

    private static readonly string[] Tags = ["str", "int", "float", "bool", "null", "map", "seq"];

    private readonly IParser _parser;
    private readonly ICollection<RecipeFault> _faults;
    private readonly Dictionary<string, RecipeNode> _anchors = [];
    private readonly bool _hasLines;
    private int _nodes;

    private RecipeYaml(string text, ICollection<RecipeFault> faults, bool hasLines) =>
        (_parser, _faults, _hasLines) = (new Parser(new StringReader(text)), faults, hasLines);

    /// <summary>Reads a document whose root is a section of keys.</summary>
    /// <param name="text">The YAML.</param>
    /// <param name="faults">Receives what is wrong.</param>
    /// <returns>Null where the text cannot be read any further.</returns>
    public static RecipeNode? Read(string text, ICollection<RecipeFault> faults)
    {
        RecipeNode? root = ReadAny(text, faults);
        if (root is null or { Kind: RecipeNodeKind.Section })
            return root;
        faults.Add(new RecipeFault(root.Line, "", "a recipe is a section of keys, such as 'model:' and 'dataset:'"));
        return null;
    }

    /// <summary>Reads a document of any kind.</summary>
    /// <param name="text">The YAML.</param>
    /// <param name="faults">Receives what is wrong.</param>
    /// <param name="hasLines">False: the text is no file, and its lines mean nothing.</param>
    /// <returns>Null where the text cannot be read any further.</returns>
    public static RecipeNode? ReadAny(string text, ICollection<RecipeFault> faults, bool hasLines = true)
    {
        try
        {
            return new RecipeYaml(text, faults, hasLines).ReadDocument();
        }
        catch (YamlException error)
        {
            faults.Add(new RecipeFault(hasLines ? (int)error.Start.Line : null, "", $"this is no YAML: {Sentence(error)}"));
            return null;
        }
        // YamlDotNet's scanner ends in these on some damaged texts.
        catch (Exception error) when (error is InvalidOperationException or ArgumentException or IndexOutOfRangeException
            or InvalidCastException or FormatException or OverflowException)
        {
            faults.Add(new RecipeFault(null, "", "this is no YAML"));
            return null;
        }
        catch (RecipeLimitException error)
        {
            faults.Add(new RecipeFault(error.Line, "", error.Message));
            return null;
        }
    }

    private RecipeNode? ReadDocument()
    {
        _parser.Consume<StreamStart>();
        if (_parser.TryConsume<StreamEnd>(out _))
        {
            _faults.Add(new RecipeFault(null, "", "the file is empty"));
            return null;
        }
        _parser.Consume<DocumentStart>();
        RecipeNode root = ReadNode(depth: 1);
        _parser.Consume<DocumentEnd>();
        if (!_parser.TryConsume<StreamEnd>(out _))
            _faults.Add(new RecipeFault(Line(_parser.Current!.Start), "", "a recipe is one document, and a second one begins here"));
        return root;
    }

    private RecipeNode ReadNode(int depth)
    {
        ParsingEvent current = _parser.Consume<ParsingEvent>();
        int? line = Line(current.Start);
        if (depth > MaxDepth)
            throw new RecipeLimitException(line, $"values are nested more than {MaxDepth} deep");
        if (++_nodes > MaxNodes)
            throw new RecipeLimitException(line, $"the file has more than {MaxNodes} values");
        if (current is AnchorAlias alias)
        {
            return _anchors.GetValueOrDefault(alias.Value.Value)
                ?? throw new RecipeLimitException(line, $"'*{alias.Value}' stands for nothing: no '&{alias.Value}' ends before it");
        }
        var start = (NodeEvent)current;
        RecipeNode node = start switch
        {
            Scalar scalar => RecipeNode.Scalar(scalar.Value, IsPlain(scalar, line), line),
            SequenceStart => ReadList(line, depth),
            _ => ReadSection(line, depth),
        };
        if (start is not Scalar) CheckTag(start.Tag, line);
        if (!start.Anchor.IsEmpty) _anchors[start.Anchor.Value] = node;
        return node;
    }

    private RecipeNode ReadList(int? line, int depth)
    {
        RecipeNode list = RecipeNode.List(line);
        while (!_parser.TryConsume<SequenceEnd>(out _))
            list.Add(ReadNode(depth + 1));
        return list;
    }

    private RecipeNode ReadSection(int? line, int depth)
    {
        RecipeNode section = RecipeNode.Section(line);
        List<RecipeNode> merged = [];
        while (!_parser.TryConsume<MappingEnd>(out _))
        {
            RecipeNode key = ReadNode(depth + 1), value = ReadNode(depth + 1);
            if (key.Kind != RecipeNodeKind.Scalar)
                _faults.Add(new RecipeFault(key.Line, "", "a key is a word, not a list or a section"));
            else if (key is { Text: MergeKey, IsPlain: true })
                merged.AddRange(value.Kind == RecipeNodeKind.List ? value.Items : [value]);
            else if (!section.TryAdd(key.Text, value))
                _faults.Add(new RecipeFault(key.Line, key.Text, "the key is here a second time: remove one of the two"));
        }
        foreach (RecipeNode source in merged)
        {
            if (source.Kind != RecipeNodeKind.Section)
                _faults.Add(new RecipeFault(source.Line, MergeKey, "only sections can be merged"));
            foreach (string key in source.Keys)
            {
                if (section.TryAdd(key, source.Find(key)!) && ++_nodes > MaxNodes)
                    throw new RecipeLimitException(line, $"the file has more than {MaxNodes} values");
            }
        }
        return section;
    }

    /// <summary>True where the text of a scalar may stand for something else than a text.</summary>
    private bool IsPlain(Scalar scalar, int? line)
    {
        CheckTag(scalar.Tag, line);
        return scalar.Style == ScalarStyle.Plain && (scalar.Tag.IsEmpty || scalar.Tag.Value != StandardTags + "str");
    }

    private void CheckTag(TagName tag, int? line)
    {
        if (!tag.IsEmpty && !tag.IsNonSpecific && !Tags.Any(known => tag.Value == StandardTags + known))
            _faults.Add(new RecipeFault(line, "", $"the tag '{tag.Value}' is not supported: write the value without it"));
    }

    private int? Line(Mark mark) => _hasLines ? (int)mark.Line : null;

    /// <summary>YamlDotNet's message without the place in front of it.</summary>
    private static string Sentence(YamlException error)
    {
        string message = error.InnerException?.Message ?? error.Message;
        int end = message.IndexOf("): ", StringComparison.Ordinal);
        return message.StartsWith('(') && end > 0 ? message[(end + 3)..] : message;
    }
}
