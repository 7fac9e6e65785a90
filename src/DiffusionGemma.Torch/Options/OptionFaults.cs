namespace DiffusionGemma;

/// <summary>Collects the faults of an options object, so that one error names them all.</summary>
/// <param name="owner">The options' type, which begins every name.</param>
internal sealed class OptionFaults(string owner)
{
    private readonly List<ArgumentException> _faults = [];

    /// <param name="holds">The condition.</param>
    /// <param name="group">The group of options that holds the option; empty: the owner itself.</param>
    /// <param name="option">The option's name.</param>
    /// <param name="value">Its value.</param>
    /// <param name="rule">The condition in words: "must be at least 1".</param>
    public void Require(bool holds, string group, string option, object? value, string rule)
    {
        if (holds) return;
        string name = $"{owner}.{group}{(group.Length > 0 ? "." : "")}{option}";
        _faults.Add(new ArgumentOutOfRangeException(name, value, $"{name} {rule}."));
    }

    /// <summary>Adds a fault of several options together.</summary>
    public void Add(string option, string message) => _faults.Add(new ArgumentException(message, option));

    /// <summary>Adds those of options inside.</summary>
    public void Include(OptionFaults inside) => _faults.AddRange(inside._faults);

    /// <exception cref="ArgumentOutOfRangeException">One option is out of range; its parameter is the option's full name.</exception>
    /// <exception cref="ArgumentException">Several options are at fault, or do not go together; the message names all.</exception>
    public void Throw()
    {
        if (_faults.Count == 0) return;
        if (_faults.Count == 1) throw _faults[0];
        throw new ArgumentException(
            $"{_faults.Count} options are at fault:\n  {string.Join("\n  ", _faults.Select(Describe))}", new AggregateException(_faults));
    }

    /// <summary>A fault on one line: .NET appends the parameter and the value.</summary>
    private static string Describe(ArgumentException fault)
    {
        string text = fault.Message;
        int end = text.IndexOf(" (Parameter ", StringComparison.Ordinal);
        string words = end < 0 ? text : text[..end];
        return fault is ArgumentOutOfRangeException { ActualValue: { } value }
            ? FormattableString.Invariant($"{words} It is {value}.")
            : words;
    }
}
