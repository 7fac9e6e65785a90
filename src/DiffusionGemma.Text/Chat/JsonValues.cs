using System.Globalization;
using System.Numerics;
using System.Text.Json;
using DiffusionGemma.Jinja;

namespace DiffusionGemma;

/// <summary>
/// JSON to the values of a template, as Python's json reads it: 1 is an int, 1.0 a float, and the last of equal keys counts.
/// </summary>
internal static class JsonValues
{
    /// <summary>Depth to which a row may be nested. As in Python, the last of equal keys counts.</summary>
    public static readonly JsonDocumentOptions Reading = new() { MaxDepth = 128 };

    private const int MostDigits = 4300;        // Python's own limit

    /// <exception cref="ChatException">A number is too long, or a text is not Unicode.</exception>
    public static object? Read(JsonElement element) => element.ValueKind switch
    {
        JsonValueKind.Null => null,
        JsonValueKind.True => true,
        JsonValueKind.False => false,
        JsonValueKind.String => ReadText(element),
        JsonValueKind.Number => ReadNumber(element.GetRawText()),
        JsonValueKind.Array => new PyList([.. element.EnumerateArray().Select(Read)]),
        _ => ReadObject(element),
    };

    public static PyDict ReadObject(JsonElement element)
    {
        PyDict dict = [];
        foreach (JsonProperty property in element.EnumerateObject())
            dict[ReadName(property)] = Read(property.Value);
        return dict;
    }

    public static string Describe(JsonValueKind kind) => kind switch
    {
        JsonValueKind.Null => "null",
        JsonValueKind.String => "a text",
        JsonValueKind.Number => "a number",
        JsonValueKind.Array => "a list",
        JsonValueKind.Object => "an object",
        _ => "true or false",
    };

    private static string ReadText(JsonElement element)
    {
        try
        {
            return element.GetString()!;
        }
        catch (InvalidOperationException exception)
        {
            throw NotUnicode(exception);
        }
    }

    private static string ReadName(JsonProperty property)
    {
        try
        {
            return property.Name;
        }
        catch (InvalidOperationException exception)
        {
            throw NotUnicode(exception);
        }
    }

    private static ChatException NotUnicode(Exception cause) =>
        new("a text in the row holds half a surrogate pair: it is not valid Unicode", cause);

    private static object ReadNumber(string text)
    {
        if (text.AsSpan().ContainsAny('.', 'e', 'E'))
            return double.Parse(text, NumberStyles.Float, CultureInfo.InvariantCulture);
        if (text.Length > MostDigits)
            throw new ChatException($"a number in the row has more than {MostDigits} digits");
        return PyNumber.Normalize(BigInteger.Parse(text, NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture));
    }
}
