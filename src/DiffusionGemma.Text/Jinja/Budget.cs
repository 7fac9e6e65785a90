using System.Runtime.CompilerServices;

namespace DiffusionGemma.Jinja;

/// <summary>
/// Limits of one rendering, so that no template can hang the process, fill its memory or overrun its stack; and a record of its printing.
/// </summary>
internal sealed class Budget
{
    /// <summary>UTF-16 units of the longest text that a template may build.</summary>
    public const int LongestText = 1 << 26;

    private const long MostSteps = 20_000_000;
    private const int DeepestCall = 200;
    private const int UnitsPerStep = 16;

    private const int MostPrinted = 10_000;

    private readonly List<object?> _printed = [];
    private long _steps;
    private int _depth;

    public void Step() => Steps(1);

    public void Steps(long count)
    {
        _steps += count;
        if (_steps > MostSteps)
            throw new TemplateException($"the template takes more than {MostSteps:N0} steps");
    }

    /// <summary>Charges the budget for a text of this length; called before the text is built.</summary>
    public void Text(long length)
    {
        if (length > LongestText)
            throw new TemplateException($"the template builds a text of more than {LongestText:N0} characters");
        Steps(length / UnitsPerStep);
    }

    /// <summary>Values that were printed in Python's form: None, True and False, lists and dicts, and the texts inside these.</summary>
    public IReadOnlyList<object?> Printed => _printed;

    /// <summary>Records a value that is printed in Python's form.</summary>
    public void NotePrinted(object? value)
    {
        if (_printed.Count < MostPrinted)
            _printed.Add(value);
    }

    /// <summary>Goes one call deeper; pair with <see cref="Leave"/>.</summary>
    public void Enter()
    {
        if (_depth >= DeepestCall)
            throw new TemplateException($"the template calls itself more than {DeepestCall} levels deep");
        _depth++;
    }

    public void Leave() => _depth--;

    /// <summary>Long chains of operators nest deeply without any call.</summary>
    public static void CheckStack()
    {
        if (!RuntimeHelpers.TryEnsureSufficientExecutionStack())
            throw new TemplateException("the template or its data is nested too deeply");
    }
}
