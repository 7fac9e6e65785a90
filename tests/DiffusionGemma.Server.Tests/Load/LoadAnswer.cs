using System.Diagnostics;
using System.Text;

namespace DiffusionGemma;

/// <summary>One answer of a load test, with its times in ms.</summary>
/// <param name="index">The question.</param>
internal sealed class LoadAnswer(int index)
{
    private readonly long _start = Stopwatch.GetTimestamp();
    private readonly StringBuilder _text = new();

    public int Index { get; set; } = index;

    public string Text => _text.ToString();

    /// <summary>From the question to the first canvas.</summary>
    public double First { get; private set; } = double.NaN;

    public double End { get; private set; } = double.NaN;

    public void Append(string text)
    {
        if (text.Length > 0 && double.IsNaN(First)) First = Stopwatch.GetElapsedTime(_start).TotalMilliseconds;
        _text.Append(text);
    }

    public LoadAnswer Complete()
    {
        End = Stopwatch.GetElapsedTime(_start).TotalMilliseconds;
        if (double.IsNaN(First)) First = End;                                  // an empty answer
        return this;
    }
}
