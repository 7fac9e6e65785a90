using System.Buffers;
using System.Globalization;
using System.Text;
using System.Text.Encodings.Web;
using System.Text.Json;
using System.Text.Json.Serialization;

namespace DiffusionGemma;

/// <summary>
/// The one form of JSON that grammars and typed training rows share: System.Text.Json's compact output, with every character above U+007F
/// as itself.
/// </summary>
internal static class JsonForm
{
    /// <summary>Longer numbers, which no grammar of numbers holds, stay as they are written.</summary>
    private const int LongestNumber = 64;

    private static readonly SearchValues<char> NumberCharacters = SearchValues.Create("0123456789+-.eE");

    /// <summary>Camel case, enums by name.</summary>
    public static JsonSerializerOptions Options { get; } = Create();

    /// <summary>A value in the form.</summary>
    /// <param name="value">What is written.</param>
    /// <param name="options">Names and converters of one's own; null: <see cref="Options"/>.</param>
    public static string Write<T>(T value, JsonSerializerOptions? options = null)
    {
        if (options is not null && options.Encoder != JavaScriptEncoder.UnsafeRelaxedJsonEscaping)
            options = new JsonSerializerOptions(options) { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping, WriteIndented = false };
        return Normalize(JsonSerializer.Serialize(value, options ?? Options));
    }

    /// <summary>
    /// The relaxed encoder still escapes characters that it does not know or that look like white space; and numbers are written with
    /// exponents (1E+16) or trailing zeros (1.50).
    /// </summary>
    private static string Normalize(string json)
    {
        var text = new StringBuilder(json.Length);
        bool isQuoted = false;
        for (int i = 0; i < json.Length; i++)
        {
            if (!isQuoted && (json[i] == '-' || char.IsAsciiDigit(json[i])))
            {
                int length = json.AsSpan(i).IndexOfAnyExcept(NumberCharacters);
                string number = length < 0 ? json[i..] : json.Substring(i, length);
                text.Append(JsonDecimal.Write(number) is { Length: <= LongestNumber } plain ? plain : number);
                i += number.Length - 1;
                continue;
            }
            if (json[i] == '"') isQuoted = !isQuoted;
            if (json[i] != '\\')
            {
                text.Append(json[i]);
                continue;
            }
            if (json[i + 1] == 'u' && int.Parse(json.AsSpan(i + 2, 4), NumberStyles.HexNumber,
                CultureInfo.InvariantCulture) is > 0x7F and var unit)
            {
                text.Append((char)unit);
                i += 5;
                continue;
            }
            text.Append(json, i, 2);
            i++;
        }
        return text.ToString();
    }

    private static JsonSerializerOptions Create()
    {
        var options = new JsonSerializerOptions(JsonSerializerDefaults.Web)
        {
            Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping,
            NumberHandling = JsonNumberHandling.Strict,
            Converters = { new JsonStringEnumConverter() },
        };
        options.MakeReadOnly(populateMissingResolver: true);
        return options;
    }
}
