namespace DiffusionGemma.Jinja;

/// <summary>Python's + - * / // % ** on any values.</summary>
internal static class PyOperators
{
    public static object? Apply(string sign, object? left, object? right, Budget budget)
    {
        if (PyNumber.IsNumber(left) && PyNumber.IsNumber(right))
            return PyNumber.Calculate(sign, left, right);
        if (sign == "%" && left is string format)
            return PercentFormat.Apply(format, right, budget);
        switch (left, right)
        {
            case (Undefined undefined, _):
                throw undefined.Fail();
            case (_, Undefined undefined):
                throw undefined.Fail();
            case (string a, string b) when sign == "+":
                budget.Text((long)a.Length + b.Length);
                return a + b;
            case (PyList a, PyList b) when sign == "+":
                return Join(a, b, budget);
            case (PyTuple a, PyTuple b) when sign == "+":
                return Join(a, b, budget);
        }
        if (sign == "*")
        {
            if (PyNumber.IsInteger(right) && left is string or PyList or PyTuple)
                return Repeat(left, PyNumber.ToIndex(right, "a count"), budget);
            if (PyNumber.IsInteger(left) && right is string or PyList or PyTuple)
                return Repeat(right, PyNumber.ToIndex(left, "a count"), budget);
        }
        throw new TemplateException($"unsupported operand type(s) for {sign}: '{PyType.NameOf(left)}' and '{PyType.NameOf(right)}'");
    }

    /// <summary><c>~</c>: what the values print as, one after the other.</summary>
    public static string Concatenate(IReadOnlyList<string> parts, Budget budget)
    {
        budget.Text(parts.Sum(part => (long)part.Length));
        return string.Concat(parts);
    }

    private static PySequence Join(PySequence left, PySequence right, Budget budget)
    {
        budget.Steps((long)left.Count + right.Count);
        return left.With([.. left, .. right]);
    }

    private static object Repeat(object value, int count, Budget budget)
    {
        count = Math.Max(0, count);
        if (value is string text)
        {
            budget.Text((long)text.Length * count);
            return string.Concat(Enumerable.Repeat(text, count));
        }
        PySequence sequence = (PySequence)value;
        budget.Steps((long)sequence.Count * count);
        return sequence.With([.. Enumerable.Repeat(sequence, count).SelectMany(items => items)]);
    }
}
