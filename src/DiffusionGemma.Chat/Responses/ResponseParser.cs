using System.Text;
using Microsoft.Extensions.AI;

namespace DiffusionGemma;

/// <summary>
/// An answer's ids to the framework's contents, as they come. What is given does not depend on where the ids are split:
/// <code>
/// &lt;|channel>thought\nRain?&lt;channel|>Let me
/// see.&lt;|tool_call>call:weather{city:&lt;|"|>Oslo&lt;|"|>}&lt;tool_call|>&lt;|tool_response> | | | |
///            TextReasoningContent TextContent          FunctionCallContent                             end
/// </code>
/// </summary>
/// <remarks>
/// Markers are known by their token, and by their text too, should a model spell one out: fed back in a later turn, it would become the
/// token. (In a call's quoted argument it stays text.) Markers that are out of place are left out, as is every other special token. A call
/// that cannot be read becomes an <see cref="ErrorContent"/> with the code <see cref="DiffusionGemmaChatClient.MalformedCallCode"/>.
/// </remarks>
internal sealed class ResponseParser
{
    private enum Part { Text, Thought, Call }

    private readonly DiffusionGemmaTokenizer _tokenizer;
    private readonly ParserSettings _settings;
    private readonly StreamingDecoder _decoder;
    private readonly TextSink _text, _thoughtSink = new([]);
    private readonly ThoughtText _thought = new();
    private readonly StringBuilder _call = new();
    private List<AIContent> _contents = [];
    private Part _part;
    private bool _quoted;

    public ResponseParser(DiffusionGemmaTokenizer tokenizer, ParserSettings settings)
    {
        (_tokenizer, _settings, _decoder, _text) =
            (tokenizer, settings, new StreamingDecoder(tokenizer), new TextSink(settings.StopSequences));
        if (settings.BeginsInThought) _part = Part.Thought;
    }

    /// <summary>Whether the answer has ended by what it says; what comes after is not read.</summary>
    public bool Ended { get; private set; }

    /// <summary>Whether a tool is called.</summary>
    public bool CallsTools { get; private set; }

    /// <summary>Tokens read, the one that ended the answer included.</summary>
    public int Tokens { get; private set; }

    /// <summary>Those of them that a thought took, its markers included.</summary>
    public int ThoughtTokens { get; private set; }

    /// <summary>Reads the next tokens; gives what they make certain.</summary>
    public IList<AIContent> Append(IEnumerable<int> ids)
    {
        foreach (int id in ids)
        {
            if (Ended) break;
            bool thinks = _part == Part.Thought;
            Append(id);
            Tokens++;
            if (thinks || _part == Part.Thought) ThoughtTokens++;
        }
        if (!Ended) GiveCertain();
        return TakeContents();
    }

    /// <summary>Nothing follows: gives what was held back.</summary>
    public IList<AIContent> Finish()
    {
        if (!Ended)
        {
            AppendText(_decoder.Flush());
            if (!Ended) End();
        }
        return TakeContents();
    }

    private void Append(int id)
    {
        if (!_tokenizer.IsSpecial(id))
        {
            AppendText(_decoder.Append(id));
            return;
        }
        if (!Markers.ByText.TryGetValue(_tokenizer.TokenOf(id)!, out Marker marker)) return;
        AppendText(_decoder.Flush());
        if (!Ended) OnMarker(marker);
    }

    private void AppendText(string text)
    {
        foreach (char c in text)
        {
            if (Ended) return;
            OnCharacter(c);
        }
    }

    private void OnCharacter(char c)
    {
        if (_part == Part.Call)
        {
            _call.Append(c);
            int recent = Math.Min(_call.Length, Markers.LongestText);
            if (c != '>' || !Markers.TryFindAtEnd(_call.ToString(_call.Length - recent, recent), out string text)) return;
            // Within a quoted argument, other markers that are spelled out are what the model has to say.
            if (_quoted && text != Markers.Quote) return;
            _call.Length -= text.Length;
            OnMarker(Markers.ByText[text]);
        }
        else if ((_part == Part.Text ? _text : _thoughtSink).Add(c, out Marker? marker, out bool stopped))
        {
            if (stopped) End();
            else OnMarker(marker!.Value);
        }
    }

    private void OnMarker(Marker marker)
    {
        GiveAll();
        switch (marker)
        {
            case Marker.TurnOpen or Marker.TurnClose or Marker.ResponseOpen:
                End();
                break;
            case Marker.Quote when _part == Part.Call:
                _call.Append(Markers.Quote);
                _quoted = !_quoted;
                break;
            case Marker.Quote:
                OnCharacter('"');
                break;
            case Marker.CallOpen:
                Leave();
                if (!Ended) _part = Part.Call;
                break;
            case Marker.CallClose when _part == Part.Call:
                Leave();
                break;
            case Marker.ChannelOpen when _part == Part.Text:
                _part = Part.Thought;
                _thought.Open(inName: true);
                break;
            case Marker.ChannelClose when _part == Part.Thought:
                Leave();
                break;
        }
    }

    /// <summary>Ends the thought or call that is open, and goes back to text.</summary>
    private void Leave()
    {
        if (_part == Part.Thought) GiveThought(_thought.Close());
        if (_part == Part.Call) GiveCalls();
        _part = Part.Text;
    }

    private void End()
    {
        GiveAll();
        Leave();
        Ended = true;
    }

    private void GiveCertain()
    {
        if (_part == Part.Text) GiveText(_text.TakeCertain());
        if (_part == Part.Thought) GiveThought(_thought.Add(_thoughtSink.TakeCertain()));
    }

    private void GiveAll()
    {
        if (_part == Part.Text) GiveText(_text.TakeAll());
        if (_part == Part.Thought) GiveThought(_thought.Add(_thoughtSink.TakeAll()));
    }

    private void GiveText(string text)
    {
        if (text.Length == 0) return;
        if (_contents is [.., TextContent last]) last.Text += text;
        else _contents.Add(new TextContent(text));
    }

    private void GiveThought(string text)
    {
        if (text.Length == 0 || !_settings.KeepsThoughts) return;
        if (_contents is [.., TextReasoningContent last]) last.Text += text;
        else _contents.Add(new TextReasoningContent(text));
    }

    private void GiveCalls()
    {
        string text = _call.ToString();
        _call.Clear();
        _quoted = false;
        try
        {
            foreach ((string name, Dictionary<string, object?> arguments) in ToolCallReader.Read(text))
            {
                if (!_settings.AllowsCalls) throw new FormatException($"'{name}' is called, and the request's tool mode is None");
                _contents.Add(new FunctionCallContent($"call_{Guid.NewGuid():N}", name, arguments));
                CallsTools = true;
                if (!_settings.EndsWithFirstCall) continue;
                Ended = true;
                return;
            }
        }
        catch (FormatException e)
        {
            _contents.Add(new ErrorContent($"The model's tool call cannot be used: {e.Message}.")
            {
                ErrorCode = DiffusionGemmaChatClient.MalformedCallCode,
                Details = text.Replace(Markers.Quote, "\"", StringComparison.Ordinal),
            });
        }
    }

    private IList<AIContent> TakeContents()
    {
        List<AIContent> contents = _contents;
        _contents = [];
        return contents;
    }
}
