using System.Text;

namespace DiffusionGemma.Jinja;

/// <summary>Output of a template: the rendered page, or a captured text that becomes a value.</summary>
internal sealed class TextOutput(Budget budget, bool isPage)
{
    private readonly StringBuilder _text = new();
    private readonly List<(int Start, int End)> _generated = [];
    private bool _isGenerating;

    /// <summary>Spans that generation blocks wrote, in UTF-16 units of the page.</summary>
    public IReadOnlyList<(int Start, int End)> Generated => _generated;

    public void Write(string text)
    {
        budget.Text((long)_text.Length + text.Length > Budget.LongestText ? long.MaxValue : text.Length);
        _text.Append(text);
    }

    public void WriteGenerated(Action write)
    {
        // transformers marks such a block at a wrong place without saying so.
        if (!isPage)
            throw new TemplateException(
                "{% generation %} inside a macro, call, filter or set block is not supported: its place in the text is not known there");
        if (_isGenerating)
            throw new TemplateException("{% generation %} inside another is not supported");
        int start = _text.Length;
        _isGenerating = true;
        write();
        _isGenerating = false;
        _generated.Add((start, _text.Length));
    }

    public override string ToString() => _text.ToString();
}
