using Microsoft.Extensions.AI;

namespace DiffusionGemma;

/// <summary>Committed tokens to contents: decoded without half a character, markers parsed, stop sequences obeyed.</summary>
internal sealed class AnswerReader(DiffusionGemmaTokenizer tokenizer, IReadOnlySet<int> silent, ChatOptions? options)
{
    private readonly StreamingDecoder _decoder = new(tokenizer);
    private readonly GemmaOutputParser _parser = new();
    private readonly StopSequences _stops = new(options?.StopSequences);

    /// <summary>A call was made.</summary>
    public bool HasCalls { get; private set; }

    /// <summary>Nothing more is to be told, though the model may go on.</summary>
    public bool IsOver => _stops.IsMet || (HasCalls && options?.AllowMultipleToolCalls == false);

    public IList<AIContent> Read(IEnumerable<int> ids) => Told(_parser.Append(_decoder.Append(ids.Where(id => !silent.Contains(id)))));

    public IList<AIContent> Rest()
    {
        if (IsOver) return [];
        IList<AIContent> contents = [.. Told(_parser.Append(_decoder.Flush())), .. Told(_parser.Flush())];
        return _stops.Flush() is { Length: > 0 } held ? [.. contents, new TextContent(held)] : contents;
    }

    private List<AIContent> Told(IReadOnlyList<AIContent> contents)
    {
        var told = new List<AIContent>();
        foreach (AIContent content in contents)
        {
            if (IsOver) break;
            if (content is TextContent text)
            {
                if (_stops.Append(text.Text) is { Length: > 0 } certain) told.Add(new TextContent(certain));
                continue;
            }
            HasCalls |= content is FunctionCallContent;
            told.Add(content);
        }
        return told;
    }
}
