using System.Numerics;

namespace DiffusionGemma.Jinja;

/// <summary>A value as the key of a dict or a member of a set: equal where Python says so (1, 1.0 and true are one key).</summary>
internal readonly struct PyKey : IEquatable<PyKey>
{
    private readonly object? _value;

    /// <exception cref="TemplateException">The value is of a kind that cannot be a key.</exception>
    public PyKey(object? value)
    {
        _value = value switch
        {
            bool flag => flag ? 1L : 0L,
            double number when number == Math.Floor(number) && !double.IsInfinity(number) => PyNumber.Normalize(new BigInteger(number)),
            PyTuple tuple => tuple.Select(item => new PyKey(item)).ToArray(),
            PySequence and not PyRange or PyDict => throw new TemplateException($"unhashable type: '{PyType.NameOf(value)}'"),
            _ => value,
        };
    }

    public bool Equals(PyKey other) => (_value, other._value) switch
    {
        (PyKey[] left, PyKey[] right) => left.AsSpan().SequenceEqual(right),
        _ => Equals(_value, other._value),
    };

    public override bool Equals(object? obj) => obj is PyKey other && Equals(other);

    public override int GetHashCode()
    {
        if (_value is not PyKey[] items)
            return _value?.GetHashCode() ?? 0;
        HashCode hash = new();
        foreach (PyKey item in items)
            hash.Add(item);
        return hash.ToHashCode();
    }
}
