using System.Text;

namespace DiffusionGemma.Jinja;

/// <summary>Filters of text.</summary>
internal static class TextFilters
{
    public static Dictionary<string, Filter> All { get; } = new(StringComparer.Ordinal)
    {
        ["string"] = (interpreter, value, _) => Str(interpreter, value),
        // Nothing is escaped here, so that a text marked safe is a text like any other.
        ["safe"] = (interpreter, value, _) => Str(interpreter, value),
        ["trim"] = Trim,
        ["upper"] = (interpreter, value, _) => PyCase.Upper(Str(interpreter, value)),
        ["lower"] = (interpreter, value, _) => PyCase.Lower(Str(interpreter, value)),
        ["capitalize"] = (interpreter, value, _) => PyCase.Capitalize(Str(interpreter, value)),
        ["title"] = (interpreter, value, _) => Title(Str(interpreter, value)),
        ["replace"] = Replace,
        ["center"] = Center,
        ["indent"] = Indent,
        ["truncate"] = Truncate,
        ["wordcount"] = (interpreter, value, _) => CountWords(Str(interpreter, value)),
        ["format"] = (interpreter, value, arguments) =>
            PercentFormat.Apply(Str(interpreter, value), FormatValues(arguments), interpreter.Budget),
    };

    private static string Str(Interpreter interpreter, object? value)
    {
        string text = PyText.Str(value, interpreter.Budget);
        interpreter.Budget.Text(text.Length);
        return text;
    }

    private static object Trim(Interpreter interpreter, object? value, Arguments arguments)
    {
        object? characters = arguments.Bind("trim", 0, "chars")[0];
        if (characters is not (null or string) && characters != Arguments.Missing)
            throw new TemplateException("trim needs its characters as a text");
        return PyString.Trim(Str(interpreter, value), characters as string, start: true, end: true);
    }

    private static object Replace(Interpreter interpreter, object? value, Arguments arguments)
    {
        object?[] given = arguments.Bind("replace", 2, "old", "new", "count");
        int most = given[2] is null || given[2] == Arguments.Missing ? -1 : PyNumber.ToIndex(given[2], "count");
        return StringMethods.Replace(
            Str(interpreter, value), Str(interpreter, given[0]), Str(interpreter, given[1]), most, interpreter.Budget);
    }

    /// <summary>Capitalizes after space, hyphens and opening brackets; not str.title.</summary>
    private static string Title(string text)
    {
        StringBuilder title = new(text.Length);
        int start = 0;
        for (int at = 0; at <= text.Length; at++)
        {
            bool isBreak = at < text.Length && (text[at] is '-' or '(' or '{' or '[' or '<' || PyString.IsSpace(text[at]));
            if (at < text.Length && !isBreak)
                continue;
            if (at > start)
                title.Append(CapitalizeFirst(text[start..at]));
            if (isBreak)
                title.Append(text[at]);
            start = at + 1;
        }
        return title.ToString();

        static string CapitalizeFirst(string word)
        {
            int first = char.IsSurrogatePair(word, 0) ? 2 : 1;
            return PyCase.Upper(word[..first]) + PyCase.Lower(word[first..]);
        }
    }

    private static object Center(Interpreter interpreter, object? value, Arguments arguments)
    {
        object? given = arguments.Bind("center", 0, "width")[0];
        int width = given == Arguments.Missing ? 80 : PyNumber.ToIndex(given, "width");
        interpreter.Budget.Text(width);
        return StringMethods.Center(Str(interpreter, value), width, ' ');
    }

    private static object Indent(Interpreter interpreter, object? value, Arguments arguments)
    {
        object?[] given = arguments.Bind("indent", 0, "width", "first", "blank");
        if (value is not string text)
            throw value is Undefined undefined
                ? undefined.Fail() : new TemplateException($"indent needs a text, not '{PyType.NameOf(value)}'");
        string indent = given[0] switch
        {
            string own => own,
            var missing when missing == Arguments.Missing => new string(' ', 4),
            var width => (string)PyOperators.Apply("*", " ", width, interpreter.Budget)!,
        };
        bool indentsFirst = given[1] != Arguments.Missing && PyType.IsTrue(given[1]);
        bool indentsBlank = given[2] != Arguments.Missing && PyType.IsTrue(given[2]);
        List<string> lines = PyString.SplitLines(text + "\n");
        return StringMethods.Join("\n", lines.Select((line, place) =>
            (place == 0 ? indentsFirst : indentsBlank || line.Length > 0) ? indent + line : line), interpreter.Budget);
    }

    private static object Truncate(Interpreter interpreter, object? value, Arguments arguments)
    {
        object?[] given = arguments.Bind("truncate", 0, "length", "killwords", "end", "leeway");
        string text = Str(interpreter, value);
        int length = given[0] == Arguments.Missing ? 255 : PyNumber.ToIndex(given[0], "length");
        string end = given[2] == Arguments.Missing ? "..." : Str(interpreter, given[2]);
        int leeway = given[3] is null || given[3] == Arguments.Missing ? 5 : PyNumber.ToIndex(given[3], "leeway");
        string[] characters = [.. PyString.Characters(text)];
        int kept = length - (int)PyString.Length(end);
        if (kept < 0 || leeway < 0)
            throw new TemplateException("truncate needs a length not less than its end's, and a leeway not less than 0");
        if (characters.Length <= (long)length + leeway)
            return text;
        string cut = string.Concat(characters[..kept]);
        bool cutsWords = given[1] != Arguments.Missing && PyType.IsTrue(given[1]);
        int space = cut.LastIndexOf(' ');
        return (cutsWords || space < 0 ? cut : cut[..space]) + end;
    }

    private static object CountWords(string text)
    {
        long count = 0;
        bool inWord = false;
        foreach (Rune rune in text.EnumerateRunes())
        {
            bool isWord = Rune.IsLetterOrDigit(rune) || Rune.IsNumber(rune) || rune.Value == '_';
            count += isWord && !inWord ? 1 : 0;
            inWord = isWord;
        }
        return count;
    }

    private static object FormatValues(Arguments arguments)
    {
        if (arguments.Named.Count == 0)
            return new PyTuple(arguments.Positional);
        if (arguments.Positional.Count > 0)
            throw new TemplateException("can't handle positional and keyword arguments at the same time");
        PyDict named = [];
        foreach ((string name, object? value) in arguments.Named)
            named[name] = value;
        return named;
    }
}
