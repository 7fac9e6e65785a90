namespace DiffusionGemma.Jinja;

/// <summary><c>value[start:stop:step]</c> of texts and sequences.</summary>
internal static class PySlice
{
    public static object? Apply(object? target, object? start, object? stop, object? step, Budget budget)
    {
        if (target is Undefined undefined)
            throw undefined.Fail();
        if (target is not (string or PySequence))
            return Undefined.Item(target, null);
        int by = step is null ? 1 : PyNumber.ToIndex(step, "a slice's step");
        if (by == 0)
            throw new TemplateException("slice step cannot be zero");
        if (target is string text && PyString.IsSimple(text) && by == 1)
        {
            (int from, int to) = Bounds(start, stop, 1, text.Length);
            return from < to ? text[from..to] : "";
        }
        IReadOnlyList<object?> items = target is string other ? [.. PyString.Characters(other)] : (PySequence)target;
        List<object?> taken = [];
        (int first, int end) = Bounds(start, stop, by, items.Count);
        for (long at = first; by > 0 ? at < end : at > end; at += by)
            taken.Add(items[(int)at]);
        budget.Steps(taken.Count);
        return target is PySequence sequence ? sequence.With(taken) : string.Concat(taken);
    }

    private static (int From, int To) Bounds(object? start, object? stop, int step, int count)
    {
        (int lowest, int highest) = step > 0 ? (0, count) : (-1, count - 1);
        return (Fix(start, step > 0 ? lowest : highest), Fix(stop, step > 0 ? highest : lowest));

        int Fix(object? bound, int fallback)
        {
            if (bound is null)
                return fallback;
            long place = PyNumber.ToIndex(bound, "a slice's bound");
            return (int)Math.Clamp(place < 0 ? place + count : place, lowest, highest);
        }
    }
}
