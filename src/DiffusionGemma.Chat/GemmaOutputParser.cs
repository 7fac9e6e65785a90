using System.Text;
using Microsoft.Extensions.AI;

namespace DiffusionGemma;

/// <summary>
/// What a Gemma model writes, as it comes, to contents: reasoning between <c>&lt;|channel&gt;name\n</c> and <c>&lt;channel|&gt;</c>, tool calls between
/// <c>&lt;|tool_call&gt;</c> and <c>&lt;tool_call|&gt;</c>, everything else text. No marker ever becomes text, wherever the pieces are cut.
/// </summary>
/// <remarks>
/// <code>
/// &lt;|channel&gt;thought⏎Rain?&lt;channel|&gt;Let me look.&lt;|tool_call&gt;call:weather{city:&lt;|"|&gt;Oslo&lt;|"|&gt;}&lt;tool_call|&gt;
///  TextReasoningContent "Rain?"      TextContent      FunctionCallContent weather(city: "Oslo")
/// </code>
/// A call that cannot be read becomes an <see cref="ErrorContent"/>. What follows <c>&lt;|tool_response&gt;</c> or the end of the turn is not the
/// model's to write, and is dropped.
/// </remarks>
internal sealed class GemmaOutputParser
{
    private const string ChannelStart = "<|channel>", ChannelEnd = "<channel|>", CallStart = "<|tool_call>", CallEnd = "<tool_call|>", Quote = "<|\"|>";
    private const int LongestName = 64;

    private static readonly string[] Ends = ["<|tool_response>", "<turn|>", "<|turn>"];
    private static readonly string[] InText = [ChannelStart, ChannelEnd, CallStart, CallEnd, .. Ends], InCall = [CallEnd, Quote];

    private readonly StringBuilder _pending = new();
    private readonly StringBuilder _call = new();
    private State _state;
    private bool _quoted;
    private int _calls;

    private enum State
    {
        Text,
        ChannelName,
        Reasoning,
        Call,
        Over,
    }

    /// <summary>Whether a token's text is one that the parser must see.</summary>
    public static bool IsMarker(string text) => text == Quote || InText.Contains(text);

    /// <summary>The model has ended its turn; whatever comes is dropped.</summary>
    public bool IsOver => _state == State.Over;

    /// <summary>What is certain after these characters.</summary>
    public IReadOnlyList<AIContent> Append(string text)
    {
        _pending.Append(text);
        return Read(isEnd: false);
    }

    /// <summary>What is left when the answer is complete.</summary>
    public IReadOnlyList<AIContent> Flush() => Read(isEnd: true);

    private List<AIContent> Read(bool isEnd)
    {
        var contents = new List<AIContent>();
        string text = _pending.ToString();
        int at = 0;
        while (_state != State.Over)
        {
            string[] markers = _state != State.Call ? InText : _quoted ? [Quote] : InCall;
            (int place, string? marker) = First(text, at, markers);
            int end = marker is not null ? place : isEnd ? text.Length : text.Length - Undecided(text, at, markers);
            Take(text[at..end], contents);
            if (marker is null)
            {
                at = end;
                break;
            }
            at = place + marker.Length;
            Pass(marker, contents);
        }
        _pending.Clear().Append(_state == State.Over ? "" : text[at..]);
        if (isEnd && _state == State.Call) contents.Add(Unread("the call does not end"));
        if (isEnd) _state = State.Over;
        return contents;
    }

    private void Take(string text, List<AIContent> contents)
    {
        if (text.Length == 0) return;
        switch (_state)
        {
            case State.Text:
                contents.Add(new TextContent(text));
                break;
            case State.Reasoning:
                contents.Add(new TextReasoningContent(text));
                break;
            case State.Call:
                _call.Append(text);
                break;
            case State.ChannelName:
                // The first line is the channel's name; a channel without one is reasoning all the same.
                _call.Append(text);
                string soFar = _call.ToString();
                int line = soFar.IndexOf('\n', StringComparison.Ordinal);
                if (line < 0 && soFar.Length <= LongestName) break;
                _call.Clear();
                _state = State.Reasoning;
                Take(line < 0 ? soFar : soFar[(line + 1)..], contents);
                break;
        }
    }

    private void Pass(string marker, List<AIContent> contents)
    {
        switch (marker)
        {
            case Quote:
                _quoted = !_quoted;
                _call.Append(Quote);
                break;
            case ChannelStart:
                (_state, _) = (State.ChannelName, _call.Clear());
                break;
            case ChannelEnd:
                _state = State.Text;
                break;
            case CallStart:
                (_state, _quoted, _) = (State.Call, false, _call.Clear());
                break;
            case CallEnd when _state == State.Call:
                contents.Add(Call());
                _state = State.Text;
                break;
            case CallEnd:
                break;                                                                                      // ends nothing
            default:
                _state = State.Over;
                break;
        }
    }

    private AIContent Call()
    {
        try
        {
            (string name, Dictionary<string, object?> arguments) = GemmaToolCall.Parse(_call.ToString());
            return new FunctionCallContent($"call_{_calls++}", name, arguments);
        }
        catch (FormatException e)
        {
            return Unread(e.Message);
        }
    }

    private ErrorContent Unread(string reason) => new($"The model wrote a tool call that cannot be read: {reason}.") { Details = _call.ToString() };

    private static (int Place, string? Marker) First(string text, int from, string[] markers)
    {
        (int place, string? first) = (text.Length, null);
        foreach (string marker in markers)
        {
            int found = text.IndexOf(marker, from, StringComparison.Ordinal);
            if (found >= 0 && found < place) (place, first) = (found, marker);
        }
        return (place, first);
    }

    /// <summary>How many characters at the end may turn out to begin a marker.</summary>
    private static int Undecided(string text, int from, string[] markers)
    {
        for (int start = Math.Max(from, text.Length - markers.Max(m => m.Length) + 1); start < text.Length; start++)
        {
            string end = text[start..];
            if (Array.Exists(markers, marker => marker.StartsWith(end, StringComparison.Ordinal))) return end.Length;
        }
        return 0;
    }
}
