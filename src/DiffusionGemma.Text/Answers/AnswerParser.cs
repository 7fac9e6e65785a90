using System.Text;

namespace DiffusionGemma;

/// <summary>
/// Reads an answer's ids into text, reasoning and tool calls as they come. The result does not depend on where the ids are split:
/// <code>
/// &lt;|channel>thought\nRain?&lt;channel|>                   AnswerReasoning
/// Let me see.                                       AnswerText
/// &lt;|tool_call>call:rain{at:&lt;|"|>Oslo&lt;|"|>}&lt;tool_call|>  AnswerToolCall
/// &lt;|tool_response>                                  end
/// </code>
/// </summary>
/// <remarks>
/// A control token is known by its id, and by its text too, should a model spell it out: fed back in a later turn, it would become the
/// token. (In a call's quoted argument it stays text.) Control tokens that are out of place are left out, like every other special token.
/// An answer that begins with a plain <c>thought</c> line and closes a channel that it never opened begins with reasoning; after a tool's
/// result such a line is no part of the answer in any case. For one reader.
/// </remarks>
/// <example>
/// <code>
/// var parser = new AnswerParser(tokenizer, promptIds);
/// foreach (int[] ids in canvases)
///     foreach (AnswerPart part in parser.Append(ids)) Show(part);
/// foreach (AnswerPart part in parser.Complete()) Show(part);
/// </code>
/// </example>
public sealed class AnswerParser
{
    private const string ThoughtLabel = "thought\n";

    private enum Section { Text, Reasoning, Call }

    private readonly DiffusionGemmaTokenizer _tokenizer;
    private readonly AnswerParserOptions _options;
    private readonly StreamingDecoder _decoder;
    private readonly ControlScanner _text, _reasoning = new([]);
    private readonly ChannelText _channel = new();
    private readonly StringBuilder _call = new();
    private readonly bool _followsToolResult;
    private List<AnswerPart> _parts = [];
    private StringBuilder? _opening;        // the answer's first text, while it may be a thought without its control token
    private Section _section;
    private bool _isQuoted, _openingWasReasoning;

    /// <summary>Begins an answer.</summary>
    /// <param name="tokenizer">The checkpoint's tokenizer.</param>
    /// <param name="prompt">Ids that the answer follows: they decide whether it begins inside a thought. Empty: outside.</param>
    /// <param name="options">Null: the defaults.</param>
    public AnswerParser(DiffusionGemmaTokenizer tokenizer, ReadOnlySpan<int> prompt, AnswerParserOptions? options = null)
    {
        ArgumentNullException.ThrowIfNull(tokenizer);
        (_tokenizer, _options, _decoder) = (tokenizer, options ?? new AnswerParserOptions(), new StreamingDecoder(tokenizer));
        _text = new ControlScanner(_options.StopSequences);
        AnswerContext context = AnswerContext.Of(tokenizer, prompt);
        _followsToolResult = context.FollowsToolResult;
        if (context.BeginsInReasoning)
        {
            _section = Section.Reasoning;
            _channel.Open(inName: context.BeginsWithChannelName);
        }
        else
        {
            _opening = new StringBuilder();
        }
    }

    /// <summary>
    /// True once the answer has ended by its own content, such as &lt;turn|&gt; or a stop sequence: later ids are not read.
    /// </summary>
    public bool HasEnded { get; private set; }

    /// <summary>True once a tool has been called.</summary>
    public bool CallsTools { get; private set; }

    /// <summary>Number of tokens read, with the one that ended the answer.</summary>
    public int TokenCount { get; private set; }

    /// <summary>Number of tokens that reasoning took, with its control tokens.</summary>
    public int ReasoningTokenCount { get; private set; }

    /// <summary>Reads the next ids.</summary>
    /// <returns>The parts that are certain now; a text may go on in the next call.</returns>
    public IReadOnlyList<AnswerPart> Append(IEnumerable<int> ids)
    {
        ArgumentNullException.ThrowIfNull(ids);
        foreach (int id in ids)
        {
            if (HasEnded) break;
            bool wasReasoning = _section == Section.Reasoning;
            Append(id);
            TokenCount++;
            if (_openingWasReasoning) (ReasoningTokenCount, _openingWasReasoning) = (TokenCount, false);
            else if (wasReasoning || _section == Section.Reasoning) ReasoningTokenCount++;
        }
        if (!HasEnded) GiveCertain();
        return TakeParts();
    }

    /// <summary>Ends the answer.</summary>
    /// <returns>The parts that were held back.</returns>
    public IReadOnlyList<AnswerPart> Complete()
    {
        if (!HasEnded)
        {
            AppendText(_decoder.Flush());
            if (!HasEnded) End();
        }
        return TakeParts();
    }

    private void Append(int id)
    {
        if (!_tokenizer.IsSpecial(id))
        {
            AppendText(_decoder.Append(id));
            return;
        }
        if (ControlTokens.Of(_tokenizer, id) is not { } control) return;
        AppendText(_decoder.Flush());
        if (!HasEnded) OnControl(control);
    }

    private void AppendText(string text)
    {
        foreach (char character in text)
        {
            if (HasEnded) return;
            OnCharacter(character);
        }
    }

    private void OnCharacter(char character)
    {
        if (_section == Section.Call)
        {
            _call.Append(character);
            int recent = Math.Min(_call.Length, ControlTokens.LongestText);
            if (character != '>' || !ControlTokens.TryFindAtEnd(_call.ToString(_call.Length - recent, recent), out string text)) return;
            // Within a quoted argument, other control tokens that are spelled out are the argument's own text.
            if (_isQuoted && text != ControlTokens.Quote) return;
            _call.Length -= text.Length;
            OnControl(ControlTokens.ByText[text]);
        }
        else if ((_section == Section.Text ? _text : _reasoning).Add(character, out ControlToken? control, out bool isStopped))
        {
            if (isStopped) End();
            else OnControl(control!.Value);
        }
    }

    private void OnControl(ControlToken control)
    {
        GiveAll();
        switch (control)
        {
            case ControlToken.TurnOpen or ControlToken.TurnClose or ControlToken.ResponseOpen:
                End();
                break;
            case ControlToken.Quote when _section == Section.Call:
                _call.Append(ControlTokens.Quote);
                _isQuoted = !_isQuoted;
                break;
            case ControlToken.Quote:
                OnCharacter('"');
                break;
            case ControlToken.CallOpen:
                GiveOpening(isReasoning: _followsToolResult);
                Leave();
                if (!HasEnded) _section = Section.Call;
                break;
            case ControlToken.CallClose when _section == Section.Call:
                Leave(isCallClosed: true);
                break;
            case ControlToken.ChannelOpen when _section == Section.Text:
                GiveOpening(isReasoning: false);
                _section = Section.Reasoning;
                _channel.Open(inName: true);
                break;
            case ControlToken.ChannelClose when _section == Section.Text:
                GiveOpening(isReasoning: true);
                break;
            case ControlToken.ChannelClose when _section == Section.Reasoning:
                Leave();
                break;
        }
    }

    /// <summary>Ends the thought or call that is open, and returns to text.</summary>
    private void Leave(bool isCallClosed = false)
    {
        if (_section == Section.Reasoning) AddReasoning(_channel.Close());
        if (_section == Section.Call) AddCalls(isCallClosed);
        _section = Section.Text;
    }

    private void End()
    {
        GiveAll();
        GiveOpening(isReasoning: false);
        Leave();
        HasEnded = true;
    }

    private void GiveCertain()
    {
        if (_section == Section.Text) GiveText(_text.TakeCertain());
        if (_section == Section.Reasoning) AddReasoning(_channel.Add(_reasoning.TakeCertain()));
    }

    private void GiveAll()
    {
        if (_section == Section.Text) GiveText(_text.TakeAll());
        if (_section == Section.Reasoning) AddReasoning(_channel.Add(_reasoning.TakeAll()));
    }

    /// <summary>Holds the answer's first text back while it is, or may become, a line that says "thought".</summary>
    private void GiveText(string text)
    {
        if (_opening is null)
        {
            AddText(text);
            return;
        }
        string opening = _opening.Append(text).ToString();
        bool mayBeThought = opening.StartsWith(ThoughtLabel, StringComparison.Ordinal)
            || ThoughtLabel.StartsWith(opening, StringComparison.Ordinal);
        if (mayBeThought) return;
        _opening = null;
        AddText(opening);
    }

    /// <summary>Gives the first text that was held back, now that its kind is known.</summary>
    private void GiveOpening(bool isReasoning)
    {
        if (_opening is null) return;
        string opening = _opening.ToString();
        _opening = null;
        if (!opening.StartsWith(ThoughtLabel, StringComparison.Ordinal))
        {
            AddText(opening);
            return;
        }
        string rest = opening[ThoughtLabel.Length..];
        if (isReasoning) AddReasoning(rest.EndsWith('\n') ? rest[..^1] : rest);
        else AddText(_followsToolResult ? rest : opening);
        _openingWasReasoning = isReasoning;
    }

    private void AddText(string text)
    {
        if (text.Length == 0) return;
        if (_parts is [.., AnswerText last]) _parts[^1] = new AnswerText(last.Text + text);
        else _parts.Add(new AnswerText(text));
    }

    private void AddReasoning(string text)
    {
        if (text.Length == 0) return;
        if (_parts is [.., AnswerReasoning last]) _parts[^1] = new AnswerReasoning(last.Text + text);
        else _parts.Add(new AnswerReasoning(text));
    }

    private void AddCalls(bool isClosed)
    {
        string text = _call.ToString();
        _call.Clear();
        _isQuoted = false;
        try
        {
            foreach (AnswerToolCall call in ToolCallReader.Read(text, isClosed))
            {
                if (!_options.AllowsToolCalls) throw new FormatException($"'{call.Name}' is called, and tool calls are not allowed");
                _parts.Add(call);
                CallsTools = true;
                if (!_options.EndsWithFirstToolCall) continue;
                HasEnded = true;
                return;
            }
        }
        catch (FormatException exception)
        {
            _parts.Add(new MalformedToolCall(exception.Message, text.Replace(ControlTokens.Quote, "\"", StringComparison.Ordinal)));
        }
    }

    private List<AnswerPart> TakeParts()
    {
        List<AnswerPart> parts = _parts;
        _parts = [];
        return parts;
    }
}
