using System.Numerics;

namespace DiffusionGemma.Jinja;

/// <summary>
/// Kinds of value. None is null, int is long or BigInteger, float is double, str is string; the rest have classes of their own.
/// </summary>
internal static class PyType
{
    public static string NameOf(object? value) => value switch
    {
        null => "NoneType",
        bool => "bool",
        long or BigInteger => "int",
        double => "float",
        string => "str",
        PyDict => "dict",
        PySequence sequence => sequence.TypeName,
        PyDictView view => view.Name,
        PyIterator => "generator",
        Undefined => "Undefined",
        PyNamespace => "Namespace",
        PyFunction { Macro: not null } => "Macro",
        PyFunction => "function",
        LoopContext => "LoopContext",
        _ => value.GetType().Name,
    };

    public static bool IsTrue(object? value) => value switch
    {
        null or Undefined => false,
        bool flag => flag,
        long number => number != 0,
        BigInteger number => !number.IsZero,
        double number => number != 0,
        string text => text.Length > 0,
        PyDict dict => dict.Count > 0,
        IReadOnlyCollection<object?> items => items.Count > 0,
        _ => true,
    };

    /// <summary>The items that a loop over the value goes through.</summary>
    public static IEnumerable<object?> Iterate(object? value) => value switch
    {
        string text => PyString.Characters(text),
        PyDict dict => dict.Keys,
        IEnumerable<object?> items => items,
        Undefined => [],
        LoopContext loop => loop.Items,
        _ => throw new TemplateException($"'{NameOf(value)}' object is not iterable"),
    };

    /// <summary>Its len(); null where it has none.</summary>
    public static long? LengthOf(object? value) => value switch
    {
        string text => PyString.Length(text),
        PyDict dict => dict.Count,
        IReadOnlyCollection<object?> items => items.Count,
        Undefined => 0,
        LoopContext loop => loop.Items.Count,
        _ => null,
    };
}
