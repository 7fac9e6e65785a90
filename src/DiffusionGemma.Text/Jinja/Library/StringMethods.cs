using System.Globalization;
using System.Text;

namespace DiffusionGemma.Jinja;

/// <summary>Methods of str.</summary>
internal static class StringMethods
{
    private delegate object? Method(string text, Arguments arguments, Budget budget);

    private static readonly Dictionary<string, Method> Methods = new(StringComparer.Ordinal)
    {
        ["strip"] = (text, arguments, _) => PyString.Trim(text, Characters("strip", arguments), start: true, end: true),
        ["lstrip"] = (text, arguments, _) => PyString.Trim(text, Characters("lstrip", arguments), start: true, end: false),
        ["rstrip"] = (text, arguments, _) => PyString.Trim(text, Characters("rstrip", arguments), start: false, end: true),
        ["upper"] = (text, _, _) => PyCase.Upper(text),
        ["lower"] = (text, _, _) => PyCase.Lower(text),
        ["casefold"] = (text, _, _) => PyCase.Lower(text).Replace("ß", "ss", StringComparison.Ordinal),
        ["title"] = (text, _, _) => PyCase.Title(text),
        ["capitalize"] = (text, _, _) => PyCase.Capitalize(text),
        ["swapcase"] = (text, _, _) => PyCase.SwapCase(text),
        ["startswith"] = (text, arguments, _) =>
            Matches("startswith", text, arguments, (part, affix) => part.StartsWith(affix, StringComparison.Ordinal)),
        ["endswith"] = (text, arguments, _) =>
            Matches("endswith", text, arguments, (part, affix) => part.EndsWith(affix, StringComparison.Ordinal)),
        ["removeprefix"] = (text, arguments, _) =>
            Text("removeprefix", arguments) is var prefix && text.StartsWith(prefix, StringComparison.Ordinal)
                ? text[prefix.Length..] : text,
        ["removesuffix"] = (text, arguments, _) =>
            Text("removesuffix", arguments) is { Length: > 0 } suffix && text.EndsWith(suffix, StringComparison.Ordinal)
                ? text[..^suffix.Length] : text,
        ["replace"] = Replace,
        ["split"] = (text, arguments, budget) => Split("split", text, arguments, budget, fromEnd: false),
        ["rsplit"] = (text, arguments, budget) => Split("rsplit", text, arguments, budget, fromEnd: true),
        ["splitlines"] = SplitLines,
        ["partition"] = (text, arguments, _) => Partition(text, Text("partition", arguments), fromEnd: false),
        ["rpartition"] = (text, arguments, _) => Partition(text, Text("rpartition", arguments), fromEnd: true),
        ["join"] = (text, arguments, budget) => Join(text, arguments.Bind("join", 1, "iterable")[0], budget),
        ["find"] = (text, arguments, _) => Find("find", text, arguments, fromEnd: false),
        ["rfind"] = (text, arguments, _) => Find("rfind", text, arguments, fromEnd: true),
        ["index"] = (text, arguments, _) => Existing(Find("index", text, arguments, fromEnd: false)),
        ["rindex"] = (text, arguments, _) => Existing(Find("rindex", text, arguments, fromEnd: true)),
        ["count"] = (text, arguments, _) => Count(text, Text("count", arguments)),
        ["zfill"] = (text, arguments, budget) => ZeroFill(text, Width("zfill", arguments, budget).Width),
        ["ljust"] = (text, arguments, budget) => Width("ljust", arguments, budget) is var (width, fill) ? Pad(text, 0, width, fill) : text,
        ["rjust"] = (text, arguments, budget) => Width("rjust", arguments, budget) is var (width, fill) ? Pad(text, width, 0, fill) : text,
        ["center"] = (text, arguments, budget) =>
            Width("center", arguments, budget) is var (width, fill) ? Center(text, width, fill) : text,
        ["isspace"] = (text, _, _) => text.Length > 0 && PyString.IsBlank(text),
        ["isdigit"] = (text, _, _) => All(text, rune => Rune.IsDigit(rune) || CharUnicodeInfo.GetDigitValue(rune.ToString(), 0) >= 0),
        ["isdecimal"] = (text, _, _) => All(text, Rune.IsDigit),
        ["isnumeric"] = (text, _, _) => All(text, Rune.IsNumber),
        ["isalpha"] = (text, _, _) => All(text, Rune.IsLetter),
        ["isalnum"] = (text, _, _) => All(text, rune => Rune.IsLetter(rune) || Rune.IsNumber(rune)),
        ["isascii"] = (text, _, _) => Ascii.IsValid(text),
        ["isupper"] = (text, _, _) => IsCase(text, Rune.IsUpper),
        ["islower"] = (text, _, _) => IsCase(text, Rune.IsLower),
        ["format"] = (text, arguments, budget) => BraceFormat.Apply(text, arguments, budget),
    };

    public static PyFunction? Find(string text, string name) =>
        Methods.TryGetValue(name, out Method? method)
            ? new PyFunction(name, (interpreter, arguments) =>
            {
                interpreter.Budget.Text(text.Length);
                return method(text, arguments, interpreter.Budget);
            })
            : null;

    public static string Replace(string text, string old, string replacement, int most, Budget budget)
    {
        if (most < 0)
            most = int.MaxValue;
        StringBuilder result = new();
        int done = 0;
        if (old.Length == 0)
        {
            // Python puts the replacement before each character, and after the last.
            int count = 0;
            foreach (string character in PyString.Characters(text))
            {
                if (count++ < most)
                    result.Append(replacement);
                result.Append(character);
                budget.Text(replacement.Length);
                CheckLength(result, budget);
            }
            return count < most ? result.Append(replacement).ToString() : result.ToString();
        }
        for (int count = 0; count < most && text.IndexOf(old, done, StringComparison.Ordinal) is >= 0 and var at; count++)
        {
            result.Append(text, done, at - done).Append(replacement);
            budget.Text(replacement.Length);
            CheckLength(result, budget);
            done = at + old.Length;
        }
        return result.Append(text, done, text.Length - done).ToString();
    }

    public static string Join(string separator, object? items, Budget budget) =>
        Join(separator, PyType.Iterate(items).Select((item, place) => item as string
            ?? throw new TemplateException($"sequence item {place}: expected str instance, {PyType.NameOf(item)} found")), budget);

    public static string Join(string separator, IEnumerable<string> items, Budget budget)
    {
        StringBuilder text = new();
        bool isFirst = true;
        foreach (string item in items)
        {
            if (!isFirst)
                text.Append(separator);
            isFirst = false;
            text.Append(item);
            budget.Text(separator.Length + item.Length);
            budget.Step();
            CheckLength(text, budget);
        }
        return text.ToString();
    }

    public static string Center(string text, int width, char fill)
    {
        int missing = (int)Math.Max(0, width - PyString.Length(text));
        int left = (missing / 2) + (missing & width & 1);
        return new string(fill, left) + text + new string(fill, missing - left);
    }

    private static void CheckLength(StringBuilder text, Budget budget)
    {
        if (text.Length > Budget.LongestText)
            budget.Text(text.Length);
    }

    private static string? Characters(string method, Arguments arguments) => arguments.Bind(method, 0, "chars")[0] switch
    {
        null => null,
        string characters => characters,
        var given when given == Arguments.Missing => null,
        var given => throw NotText(method, given),
    };

    private static string Text(string method, Arguments arguments) =>
        AsText(method, arguments.Positional.Count > 0 ? arguments.Positional[0] : null);

    private static string AsText(string method, object? value) => value as string ?? throw NotText(method, value);

    private static TemplateException NotText(string method, object? value) =>
        value is Undefined undefined ? undefined.Fail() : new($"{method}() needs a str, not '{PyType.NameOf(value)}'");

    private static object Matches(string method, string text, Arguments arguments, Func<string, string, bool> matches)
    {
        object?[] given = arguments.Bind(method, 1, "affix", "start", "end");
        string part = Part(text, given[1], given[2]).Text;
        return given[0] is PyTuple tuple
            ? tuple.Any(affix => matches(part, AsText(method, affix))) : matches(part, AsText(method, given[0]));
    }

    /// <summary>The part between two places in code points, and where it starts in UTF-16 units.</summary>
    private static (string Text, int Start) Part(string text, object? start, object? end)
    {
        if (start == Arguments.Missing && end == Arguments.Missing)
            return (text, 0);
        string[] characters = [.. PyString.Characters(text)];
        int from = Fix(start, 0);
        int to = Math.Max(from, Fix(end, characters.Length));
        return (string.Concat(characters[from..to]), characters[..from].Sum(character => character.Length));

        int Fix(object? place, int fallback)
        {
            if (place is null || place == Arguments.Missing)
                return fallback;
            long at = PyNumber.ToIndex(place, "a place");
            return (int)Math.Clamp(at < 0 ? at + characters.Length : at, 0, characters.Length);
        }
    }

    private static object? Replace(string text, Arguments arguments, Budget budget)
    {
        object?[] given = arguments.Bind("replace", 2, "old", "new", "count");
        int most = given[2] == Arguments.Missing ? -1 : PyNumber.ToIndex(given[2], "count");
        return Replace(text, AsText("replace", given[0]), AsText("replace", given[1]), most, budget);
    }

    private static PyList Split(string method, string text, Arguments arguments, Budget budget, bool fromEnd)
    {
        object?[] given = arguments.Bind(method, 0, "sep", "maxsplit");
        int most = given[1] == Arguments.Missing ? -1 : PyNumber.ToIndex(given[1], "maxsplit");
        if (most < 0)
            most = int.MaxValue;
        List<object?> parts = given[0] is null || given[0] == Arguments.Missing
            ? SplitAtSpace(text, most, fromEnd)
            : SplitAt(text, AsText(method, given[0]), most, fromEnd);
        budget.Steps(parts.Count);
        return new PyList(parts);
    }

    private static List<object?> SplitAt(string text, string separator, int most, bool fromEnd)
    {
        if (separator.Length == 0)
            throw new TemplateException("empty separator");
        List<object?> parts = [];
        if (!fromEnd)
        {
            int done = 0;
            while (parts.Count < most && text.IndexOf(separator, done, StringComparison.Ordinal) is >= 0 and var at)
            {
                parts.Add(text[done..at]);
                done = at + separator.Length;
            }
            parts.Add(text[done..]);
            return parts;
        }
        int end = text.Length;
        while (parts.Count < most && text.AsSpan(0, end).LastIndexOf(separator) is >= 0 and var at)
        {
            parts.Add(text[(at + separator.Length)..end]);
            end = at;
        }
        parts.Add(text[..end]);
        parts.Reverse();
        return parts;
    }

    private static List<object?> SplitAtSpace(string text, int most, bool fromEnd)
    {
        List<object?> parts = [];
        if (!fromEnd)
        {
            string rest = PyString.TrimStart(text);
            while (rest.Length > 0)
            {
                int end = 0;
                while (end < rest.Length && !PyString.IsSpace(rest[end]))
                    end++;
                if (parts.Count == most || end == rest.Length)
                {
                    parts.Add(PyString.TrimEnd(rest));
                    break;
                }
                parts.Add(rest[..end]);
                rest = PyString.TrimStart(rest[end..]);
            }
            return parts;
        }
        string left = PyString.TrimEnd(text);
        while (left.Length > 0)
        {
            int start = left.Length;
            while (start > 0 && !PyString.IsSpace(left[start - 1]))
                start--;
            if (parts.Count == most || start == 0)
            {
                parts.Add(PyString.TrimStart(left));
                break;
            }
            parts.Add(left[start..]);
            left = PyString.TrimEnd(left[..start]);
        }
        parts.Reverse();
        return parts;
    }

    private static object SplitLines(string text, Arguments arguments, Budget budget)
    {
        object? keepEnds = arguments.Bind("splitlines", 0, "keepends")[0];
        if (keepEnds != Arguments.Missing && PyType.IsTrue(keepEnds))
            throw new TemplateException("splitlines() with keepends is not supported");
        List<string> lines = PyString.SplitLines(text);
        budget.Steps(lines.Count);
        return new PyList(lines.ConvertAll(line => (object?)line));
    }

    private static PyTuple Partition(string text, string separator, bool fromEnd)
    {
        if (separator.Length == 0)
            throw new TemplateException("empty separator");
        int at = fromEnd ? text.LastIndexOf(separator, StringComparison.Ordinal) : text.IndexOf(separator, StringComparison.Ordinal);
        if (at >= 0)
            return new PyTuple(text[..at], separator, text[(at + separator.Length)..]);
        return fromEnd ? new PyTuple("", "", text) : new PyTuple(text, "", "");
    }

    private static long Find(string method, string text, Arguments arguments, bool fromEnd)
    {
        object?[] given = arguments.Bind(method, 1, "sub", "start", "end");
        string wanted = AsText(method, given[0]);
        (string part, int start) = Part(text, given[1], given[2]);
        int at = fromEnd ? part.AsSpan().LastIndexOf(wanted) : part.IndexOf(wanted, StringComparison.Ordinal);
        return at < 0 ? -1 : PyString.CodePointIndex(text, start + at);
    }

    private static object Existing(long place) => place >= 0 ? place : throw new TemplateException("substring not found");

    private static object Count(string text, string wanted)
    {
        if (wanted.Length == 0)
            return PyString.Length(text) + 1;
        long count = 0;
        for (int at = 0; (at = text.IndexOf(wanted, at, StringComparison.Ordinal)) >= 0; at += wanted.Length)
            count++;
        return count;
    }

    private static (int Width, char Fill) Width(string method, Arguments arguments, Budget budget)
    {
        object?[] given = arguments.Bind(method, 1, "width", "fillchar");
        int width = PyNumber.ToIndex(given[0], "width");
        budget.Text(width);
        return given[1] switch
        {
            var fill when fill == Arguments.Missing => (width, ' '),
            string { Length: 1 } fill => (width, fill[0]),
            _ => throw new TemplateException("the fill character must be exactly one character long"),
        };
    }

    private static string Pad(string text, int left, int right, char fill)
    {
        int length = (int)PyString.Length(text);
        return new string(fill, Math.Max(0, left - length)) + text + new string(fill, Math.Max(0, right - length));
    }

    private static string ZeroFill(string text, int width)
    {
        int sign = text.Length > 0 && text[0] is '-' or '+' ? 1 : 0;
        return text[..sign] + new string('0', (int)Math.Max(0, width - PyString.Length(text))) + text[sign..];
    }

    private static bool All(string text, Func<Rune, bool> test) => text.Length > 0 && text.EnumerateRunes().All(test);

    private static bool IsCase(string text, Func<Rune, bool> test)
    {
        bool any = false;
        foreach (Rune rune in text.EnumerateRunes().Where(PyCase.IsCased))
        {
            if (!test(rune))
                return false;
            any = true;
        }
        return any;
    }
}
