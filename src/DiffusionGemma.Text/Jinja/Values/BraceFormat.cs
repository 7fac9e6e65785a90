using System.Globalization;
using System.Text;

namespace DiffusionGemma.Jinja;

/// <summary>Python's <c>"{} {1} {name}".format(...)</c> without format specifications.</summary>
internal static class BraceFormat
{
    public static string Apply(string format, Arguments arguments, Budget budget)
    {
        StringBuilder text = new();
        int next = 0;
        for (int at = 0; at < format.Length; at++)
        {
            char unit = format[at];
            if (unit is '{' or '}' && at + 1 < format.Length && format[at + 1] == unit)
            {
                text.Append(unit);
                at++;
            }
            else if (unit == '{')
            {
                int end = format.IndexOf('}', at);
                if (end < 0)
                    throw new TemplateException("expected '}' before end of string");
                string value = PyText.Str(Field(format[(at + 1)..end], arguments, ref next), budget);
                budget.Text(value.Length);
                text.Append(value);
                at = end;
            }
            else
            {
                text.Append(unit == '}' ? throw new TemplateException("Single '}' encountered in format string") : unit);
            }
        }
        return text.ToString();
    }

    private static object? Field(string name, Arguments arguments, ref int next)
    {
        if (name.AsSpan().ContainsAny("!:.[{"))
            throw new TemplateException($"format() with the field '{{{name}}}' is not supported, only {{}}, {{0}} and {{name}}");
        if (name.Length > 0 && !char.IsAsciiDigit(name[0]))
        {
            foreach ((string given, object? value) in arguments.Named)
            {
                if (given == name)
                    return value;
            }
            throw new TemplateException($"format() is not given '{name}'");
        }
        int place = name.Length == 0
            ? next++ : int.TryParse(name, NumberStyles.None, CultureInfo.InvariantCulture, out int number) ? number : int.MaxValue;
        return place < arguments.Positional.Count
            ? arguments.Positional[place] : throw new TemplateException("Replacement index out of range for positional args tuple");
    }
}
