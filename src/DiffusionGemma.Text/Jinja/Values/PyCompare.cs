using System.Numerics;

namespace DiffusionGemma.Jinja;

/// <summary>Python's ==, &lt; and in.</summary>
internal static class PyCompare
{
    public static bool AreEqual(object? left, object? right, Budget budget)
    {
        Budget.CheckStack();
        budget.Step();
        if (PyNumber.IsNumber(left) && PyNumber.IsNumber(right))
            return CompareNumbers(left, right) == 0;
        switch (left, right)
        {
            case (string a, string b):
                return a == b;
            case (PyTuple or PyList, PyTuple or PyList):
                return left.GetType() == right.GetType() && AllEqual((PySequence)left, (PySequence)right, budget);
            case (PyRange a, PyRange b):
                return AllEqual(a, b, budget);
            case (PyDict a, PyDict b):
                return a.Count == b.Count && a.All(item => b.TryGet(item.Key, out object? value) && AreEqual(item.Value, value, budget));
            default:
                return Equals(left, right);
        }
    }

    /// <summary>
    /// Negative, zero or positive; <see cref="Unordered"/> for numbers without an order (NaN), for which every comparison is false.
    /// </summary>
    public static int Order(object? left, object? right, Budget budget)
    {
        Budget.CheckStack();
        budget.Step();
        switch (left, right)
        {
            case (Undefined undefined, _):
                throw undefined.Fail();
            case (_, Undefined undefined):
                throw undefined.Fail();
            case (string a, string b):
                return PyString.Compare(a, b);
            case (PyList a, PyList b):
                return OrderItems(a, b, budget);
            case (PyTuple a, PyTuple b):
                return OrderItems(a, b, budget);
            case (not null, not null) when PyNumber.IsNumber(left) && PyNumber.IsNumber(right):
                return CompareNumbers(left, right);
            default:
                throw new TemplateException($"'<' not supported between instances of '{PyType.NameOf(left)}' and '{PyType.NameOf(right)}'");
        }
    }

    public static bool Compare(string sign, object? left, object? right, Budget budget)
    {
        switch (sign)
        {
            case "==": return AreEqual(left, right, budget);
            case "!=": return !AreEqual(left, right, budget);
            case "in": return Contains(right, left, budget);
            case "not in": return !Contains(right, left, budget);
        }
        int order = Order(left, right, budget);
        if (order == Unordered)
            return false;
        return sign switch { "<" => order < 0, "<=" => order <= 0, ">" => order > 0, _ => order >= 0 };
    }

    public static bool Contains(object? container, object? item, Budget budget)
    {
        switch (container)
        {
            case string text:
                budget.Text(text.Length);
                return item switch
                {
                    string part => text.Contains(part, StringComparison.Ordinal),
                    Undefined undefined => throw undefined.Fail(),
                    _ => throw new TemplateException($"'in <string>' requires string as left operand, not {PyType.NameOf(item)}"),
                };
            case PyDict dict:
                return dict.TryGet(item, out _);
            case IEnumerable<object?> items:
                return items.Any(candidate => AreEqual(candidate, item, budget));
            case Undefined:
                return false;
            default:
                throw new TemplateException($"argument of type '{PyType.NameOf(container)}' is not iterable");
        }
    }

    private const int Unordered = int.MaxValue;

    private static int CompareNumbers(object? left, object? right)
    {
        if (left is not double && right is not double)
            return left is long a && right is long b ? a.CompareTo(b) : PyNumber.ToBig(left).CompareTo(PyNumber.ToBig(right));
        double x = PyNumber.ToDouble(left);
        double y = PyNumber.ToDouble(right);
        if (double.IsNaN(x) || double.IsNaN(y))
            return Unordered;
        // Beyond 2^53 not every int is a float: Python compares exactly.
        return left is BigInteger or long && right is double && double.IsFinite(y) && Math.Abs(y) >= 1L << 53
            ? PyNumber.ToBig(left).CompareTo(new BigInteger(y))
            : right is BigInteger or long && left is double && double.IsFinite(x) && Math.Abs(x) >= 1L << 53
                ? new BigInteger(x).CompareTo(PyNumber.ToBig(right))
            : x.CompareTo(y);
    }

    private static bool AllEqual(PySequence left, PySequence right, Budget budget)
    {
        if (left.Count != right.Count)
            return false;
        for (int i = 0; i < left.Count; i++)
        {
            if (!AreEqual(left[i], right[i], budget))
                return false;
        }
        return true;
    }

    private static int OrderItems(PySequence left, PySequence right, Budget budget)
    {
        for (int i = 0; i < Math.Min(left.Count, right.Count); i++)
        {
            if (!AreEqual(left[i], right[i], budget))
                return Order(left[i], right[i], budget);
        }
        return left.Count.CompareTo(right.Count);
    }
}
