namespace DiffusionGemma.Jinja;

/// <summary>Functions that every template may call: Jinja's own, and those that transformers adds.</summary>
internal static class Globals
{
    private const int LongestRange = 100_000;       // the sandbox's limit

    public static Dictionary<string, object?> All { get; } = new PyFunction[]
    {
        new("range", (interpreter, arguments) => Range(arguments, interpreter.Budget)),
        new("dict", (_, arguments) => Dict("dict", arguments)),
        new("namespace", (_, arguments) => new PyNamespace(Dict("namespace", arguments))),
        new("joiner", (_, arguments) => Joiner(arguments)),
        new("raise_exception", (interpreter, arguments) =>
            throw new TemplateException(
                PyText.Str(arguments.Bind("raise_exception", 1, "message")[0], interpreter.Budget)) { IsRaisedByTemplate = true }),
        new("strftime_now", (interpreter, arguments) => PyTime.Format(
            interpreter.Clock.GetLocalNow(), arguments.Bind("strftime_now", 1, "format")[0] as string
                ?? throw new TemplateException("strftime_now needs a format"))),
    }.ToDictionary(function => function.Name, function => (object?)function, StringComparer.Ordinal);

    private static PyRange Range(Arguments arguments, Budget budget)
    {
        object?[] given = arguments.Bind("range", 1, "start", "stop", "step");
        bool isStop = given[1] == Arguments.Missing;
        long start = isStop ? 0 : PyNumber.ToIndex(given[0], "range's start");
        long stop = PyNumber.ToIndex(isStop ? given[0] : given[1], "range's stop");
        long step = given[2] == Arguments.Missing ? 1 : PyNumber.ToIndex(given[2], "range's step");
        if (step == 0)
            throw new TemplateException("range() arg 3 must not be zero");
        long count = step > 0 ? Math.Max(0, (stop - start + step - 1) / step) : Math.Max(0, (start - stop - step - 1) / -step);
        if (count > LongestRange)
            throw new TemplateException($"Range too big. The sandbox blocks ranges larger than {LongestRange}.");
        budget.Steps(count);
        return new PyRange(start, step, (int)count);
    }

    private static PyDict Dict(string name, Arguments arguments)
    {
        PyDict dict = [];
        if (arguments.Positional.Count > 1)
            throw new TemplateException($"{name} expected at most 1 argument, got {arguments.Positional.Count}");
        if (arguments.Positional is [PyDict given])
        {
            dict = given.Copy();
        }
        else if (arguments.Positional is [var pairs])
        {
            foreach (object? pair in PyType.Iterate(pairs))
            {
                List<object?> both = [.. PyType.Iterate(pair)];
                dict[both.Count == 2 ? both[0] : throw new TemplateException("a dict is made of pairs")] = both[1];
            }
        }
        foreach ((string key, object? value) in arguments.Named)
            dict[key] = value;
        return dict;
    }

    private static PyFunction Joiner(Arguments arguments)
    {
        object? given = arguments.Bind("joiner", 0, "sep")[0];
        object? separator = given == Arguments.Missing ? ", " : given;
        bool isUsed = false;
        return new PyFunction("joiner", (_, _) =>
        {
            object? result = isUsed ? separator : "";
            isUsed = true;
            return result;
        });
    }
}
