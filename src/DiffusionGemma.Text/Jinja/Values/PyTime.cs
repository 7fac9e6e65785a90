using System.Globalization;
using System.Text;

namespace DiffusionGemma.Jinja;

/// <summary>Python's strftime, in English.</summary>
internal static class PyTime
{
    public static string Format(DateTimeOffset time, string format)
    {
        StringBuilder text = new();
        for (int at = 0; at < format.Length; at++)
        {
            if (format[at] != '%')
            {
                text.Append(format[at]);
                continue;
            }
            // %-d: without leading zeros.
            bool isBare = at + 1 < format.Length && format[at + 1] == '-';
            at += isBare ? 2 : 1;
            if (at >= format.Length)
                throw new TemplateException($"the time format '{format}' ends in the middle of a directive");
            string part = Directive(time, format[at]);
            string bare = part.TrimStart('0', ' ');
            text.Append(!isBare ? part : bare.Length > 0 ? bare : "0");
        }
        return text.ToString();
    }

    private static string Directive(DateTimeOffset time, char directive)
    {
        string Net(string format) => time.ToString(format, CultureInfo.InvariantCulture);
        return directive switch
        {
            'Y' => Net("yyyy"),
            'y' => Net("yy"),
            'm' => Net("MM"),
            'd' => Net("dd"),
            'e' => time.Day.ToString(CultureInfo.InvariantCulture).PadLeft(2),
            'B' => Net("MMMM"),
            'b' or 'h' => Net("MMM"),
            'A' => Net("dddd"),
            'a' => Net("ddd"),
            'H' => Net("HH"),
            'I' => Net("hh"),
            'M' => Net("mm"),
            'S' => Net("ss"),
            'f' => Net("ffffff"),
            'p' => Net("tt"),
            'j' => time.DayOfYear.ToString("000", CultureInfo.InvariantCulture),
            'w' => ((int)time.DayOfWeek).ToString(CultureInfo.InvariantCulture),
            'F' => Net("yyyy-MM-dd"),
            'T' => Net("HH:mm:ss"),
            'D' => Net("MM/dd/yy"),
            'z' or 'Z' => "",           // the reference's time has no zone
            '%' => "%",
            _ => throw new TemplateException($"the time directive '%{directive}' is not supported"),
        };
    }
}
