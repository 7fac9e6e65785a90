using System.Globalization;

namespace DiffusionGemma.Jinja;

/// <summary>Filters of what can be gone through.</summary>
internal static class SequenceFilters
{
    public static Dictionary<string, Filter> All { get; } = new(StringComparer.Ordinal)
    {
        ["list"] = (interpreter, value, _) => new PyList(Items(interpreter, value)),
        ["first"] = (_, value, _) => First(PyType.Iterate(value), "No first item, sequence was empty."),
        ["last"] = (interpreter, value, _) => First(Reversed(interpreter, value), "No last item, sequence was empty."),
        ["reverse"] = (interpreter, value, _) =>
            value is string text ? string.Concat(PyString.Characters(text).Reverse()) : new PyIterator(Reversed(interpreter, value)),
        ["join"] = Join,
        ["map"] = Map,
        ["select"] = (interpreter, value, arguments) => Select(interpreter, value, arguments, byAttribute: false, wanted: true),
        ["reject"] = (interpreter, value, arguments) => Select(interpreter, value, arguments, byAttribute: false, wanted: false),
        ["selectattr"] = (interpreter, value, arguments) => Select(interpreter, value, arguments, byAttribute: true, wanted: true),
        ["rejectattr"] = (interpreter, value, arguments) => Select(interpreter, value, arguments, byAttribute: true, wanted: false),
        ["sort"] = Sort,
        ["dictsort"] = DictSort,
        ["unique"] = Unique,
        ["groupby"] = GroupBy,
        ["min"] = (interpreter, value, arguments) => Extreme(interpreter, value, arguments, "min", -1),
        ["max"] = (interpreter, value, arguments) => Extreme(interpreter, value, arguments, "max", 1),
        ["sum"] = Sum,
        ["batch"] = Batch,
        ["slice"] = Slice,
    };

    private static List<object?> Items(Interpreter interpreter, object? value)
    {
        List<object?> items = [.. PyType.Iterate(value)];
        interpreter.Budget.Steps(items.Count);
        return items;
    }

    private static object? First(IEnumerable<object?> items, string reason)
    {
        foreach (object? item in items)
            return item;
        return new Undefined(reason);
    }

    private static IEnumerable<object?> Reversed(Interpreter interpreter, object? value)
    {
        List<object?> items = Items(interpreter, value);
        items.Reverse();
        return items;
    }

    private static object Join(Interpreter interpreter, object? value, Arguments arguments)
    {
        object?[] given = arguments.Bind("join", 0, "d", "attribute");
        string separator = given[0] == Arguments.Missing ? "" : PyText.Str(given[0], interpreter.Budget);
        Func<object?, object?> read = Attribute(given[1], ignoresCase: false);
        return StringMethods.Join(
            separator, PyType.Iterate(value).Select(item => PyText.Str(read(item), interpreter.Budget)), interpreter.Budget);
    }

    private static object Map(Interpreter interpreter, object? value, Arguments arguments)
    {
        return new PyIterator(Go());

        IEnumerable<object?> Go()
        {
            if (!PyType.IsTrue(value))
                yield break;
            Func<object?, object?> function = MapFunction(interpreter, arguments);
            foreach (object? item in PyType.Iterate(value))
            {
                interpreter.Budget.Step();
                yield return function(item);
            }
        }
    }

    private static Func<object?, object?> MapFunction(Interpreter interpreter, Arguments arguments)
    {
        if (arguments.Positional.Count == 0)
        {
            object?[] given = arguments.Bind("map", 0, "attribute", "default");
            if (given[0] == Arguments.Missing)
                throw new TemplateException("map requires a filter argument");
            return Attribute(given[0], ignoresCase: false, fallback: given[1]);
        }
        string name = arguments.Positional[0] as string ?? throw new TemplateException("map requires the name of a filter");
        Arguments rest = arguments.Skip(1);
        return item => Filters.Apply(interpreter, name, item, rest);
    }

    private static object Select(Interpreter interpreter, object? value, Arguments arguments, bool byAttribute, bool wanted)
    {
        return new PyIterator(Go());

        IEnumerable<object?> Go()
        {
            if (!PyType.IsTrue(value))
                yield break;
            Func<object?, bool> test = SelectFunction(interpreter, arguments, byAttribute);
            foreach (object? item in PyType.Iterate(value))
            {
                interpreter.Budget.Step();
                if (test(item) == wanted)
                    yield return item;
            }
        }
    }

    private static Func<object?, bool> SelectFunction(Interpreter interpreter, Arguments arguments, bool byAttribute)
    {
        if (byAttribute && arguments.Positional.Count == 0)
            throw new TemplateException("Missing parameter for attribute name");
        Func<object?, object?> read = byAttribute ? Attribute(arguments.Positional[0], ignoresCase: false) : item => item;
        int test = byAttribute ? 1 : 0;
        if (arguments.Positional.Count <= test)
            return item => PyType.IsTrue(read(item));
        string name = arguments.Positional[test] as string ?? throw new TemplateException("a test's name must be a text");
        Arguments rest = arguments.Skip(test + 1);
        return item => Tests.Apply(interpreter, name, read(item), rest);
    }

    private static object Sort(Interpreter interpreter, object? value, Arguments arguments)
    {
        object?[] given = arguments.Bind("sort", 0, "reverse", "case_sensitive", "attribute");
        bool ignoresCase = !IsSet(given[1]);
        // The key is a list even of one attribute: lists are ordered by what differs first, so that equal keys need no order.
        object?[] attributes = given[2] is string names ? names.Split(',') : [given[2]];
        Func<object?, object?>[] keys = [.. attributes.Select(attribute => Attribute(attribute, ignoresCase))];
        Func<object?, object?> key = item => new PyList([.. keys.Select(read => read(item))]);
        return new PyList(PySort.By(Items(interpreter, value), key, IsSet(given[0]), interpreter.Budget));
    }

    private static object DictSort(Interpreter interpreter, object? value, Arguments arguments)
    {
        object?[] given = arguments.Bind("dictsort", 0, "case_sensitive", "by", "reverse");
        if (value is not PyDict dict)
            throw value is Undefined undefined
                ? undefined.Fail() : new TemplateException($"'{PyType.NameOf(value)} object' has no attribute 'items'");
        int place = given[1] switch
        {
            "key" => 0,
            "value" => 1,
            var missing when missing == Arguments.Missing => 0,
            _ => throw new TemplateException("You can only sort by either \"key\" or \"value\""),
        };
        bool ignoresCase = !IsSet(given[0]);
        return new PyList(PySort.By(
            PyDictView.PairsOf(dict), pair => FoldCase(((PyTuple)pair!)[place], ignoresCase), IsSet(given[2]), interpreter.Budget));
    }

    private static object Unique(Interpreter interpreter, object? value, Arguments arguments)
    {
        object?[] given = arguments.Bind("unique", 0, "case_sensitive", "attribute");
        Func<object?, object?> key = Attribute(given[1], ignoresCase: !IsSet(given[0]));
        return new PyIterator(Go());

        IEnumerable<object?> Go()
        {
            HashSet<PyKey> seen = [];
            foreach (object? item in PyType.Iterate(value))
            {
                interpreter.Budget.Step();
                if (seen.Add(new PyKey(key(item))))
                    yield return item;
            }
        }
    }

    private static object GroupBy(Interpreter interpreter, object? value, Arguments arguments)
    {
        object?[] given = arguments.Bind("groupby", 1, "attribute", "default", "case_sensitive");
        bool ignoresCase = !IsSet(given[2]);
        Func<object?, object?> key = Attribute(given[0], ignoresCase, given[1]);
        Func<object?, object?> shown = Attribute(given[0], ignoresCase: false, given[1]);
        List<object?> groups = [];
        List<object?> group = [];
        object? current = null;
        foreach (object? item in PySort.By(Items(interpreter, value), key, reverse: false, interpreter.Budget))
        {
            object? own = key(item);
            if (group.Count > 0 && !PyCompare.AreEqual(current, own, interpreter.Budget))
            {
                groups.Add(new PyTuple(shown(group[0]), new PyList(group)));
                group = [];
            }
            current = own;
            group.Add(item);
        }
        if (group.Count > 0)
            groups.Add(new PyTuple(shown(group[0]), new PyList(group)));
        return new PyList(groups);
    }

    private static object? Extreme(Interpreter interpreter, object? value, Arguments arguments, string name, int direction)
    {
        object?[] given = arguments.Bind(name, 0, "case_sensitive", "attribute");
        Func<object?, object?> key = Attribute(given[1], ignoresCase: !IsSet(given[0]));
        List<object?> items = Items(interpreter, value);
        if (items.Count == 0)
            return new Undefined("No aggregated item, sequence was empty.");
        object? best = items[0];
        foreach (object? item in items.Skip(1))
        {
            if (PyCompare.Compare(direction < 0 ? "<" : ">", key(item), key(best), interpreter.Budget))
                best = item;
        }
        return best;
    }

    private static object? Sum(Interpreter interpreter, object? value, Arguments arguments)
    {
        object?[] given = arguments.Bind("sum", 0, "attribute", "start");
        Func<object?, object?> read = Attribute(given[0], ignoresCase: false);
        object? sum = given[1] == Arguments.Missing ? 0L : given[1];
        if (sum is string)
            throw new TemplateException("sum() can't sum strings [use ''.join(seq) instead]");
        foreach (object? item in PyType.Iterate(value))
            sum = PyOperators.Apply("+", sum, read(item), interpreter.Budget);
        return sum;
    }

    private static object Batch(Interpreter interpreter, object? value, Arguments arguments)
    {
        object?[] given = arguments.Bind("batch", 1, "linecount", "fill_with");
        int size = PyNumber.ToIndex(given[0], "linecount");
        List<object?> rows = [];
        foreach (object?[] row in Items(interpreter, value).Chunk(
            size > 0 ? size : throw new TemplateException("batch needs a count of at least 1")))
            rows.Add(new PyList(Filled(row, size, given[1])));
        return new PyIterator(rows);

        object?[] Filled(object?[] row, int count, object? fill)
        {
            if (fill is null || fill == Arguments.Missing || row.Length == count)
                return row;
            interpreter.Budget.Steps(count);
            return [.. row, .. Enumerable.Repeat(fill, count - row.Length)];
        }
    }

    private static object Slice(Interpreter interpreter, object? value, Arguments arguments)
    {
        object?[] given = arguments.Bind("slice", 1, "slices", "fill_with");
        int slices = PyNumber.ToIndex(given[0], "slices");
        if (slices < 1)
            throw new TemplateException("slice needs a count of at least 1");
        interpreter.Budget.Steps(slices);
        List<object?> items = Items(interpreter, value);
        (int size, int longer) = (items.Count / slices, items.Count % slices);
        List<object?> parts = [];
        int at = 0;
        for (int slice = 0; slice < slices; slice++)
        {
            int count = size + (slice < longer ? 1 : 0);
            List<object?> part = items.GetRange(at, count);
            if (given[1] is not null && given[1] != Arguments.Missing && slice >= longer)
                part.Add(given[1]);
            parts.Add(new PyList(part));
            at += count;
        }
        return new PyIterator(parts);
    }

    /// <summary>Reads <c>a.b.0</c> of an item; without a path, the item itself.</summary>
    private static Func<object?, object?> Attribute(object? path, bool ignoresCase, object? fallback = null)
    {
        object? absent = fallback == Arguments.Missing ? null : fallback;
        IReadOnlyList<object?> steps = path switch
        {
            string text => [.. text.Split('.').Select(Step)],
            var none when none is null || none == Arguments.Missing => [],
            _ => [path],
        };
        return item =>
        {
            foreach (object? step in steps)
            {
                item = PyAttributes.GetItem(item, step);
                if (absent is not null && item is Undefined)
                    item = absent;
            }
            return FoldCase(item, ignoresCase);
        };

        static object? Step(string part) => part.Length > 0 && part.All(char.IsAsciiDigit)
            && long.TryParse(part, CultureInfo.InvariantCulture, out long place) ? place : part;
    }

    private static object? FoldCase(object? value, bool ignoresCase) => ignoresCase && value is string text ? PyCase.Lower(text) : value;

    private static bool IsSet(object? argument) => argument != Arguments.Missing && PyType.IsTrue(argument);
}
