using System.Globalization;
using System.Text.Json;

namespace DiffusionGemma;

/// <summary>Writes floats so that they stay floats: 1.0 is not written as 1, which a chat template would print differently.</summary>
internal static class JsonNumber
{
    /// <exception cref="InvalidRowException">JSON has no such number.</exception>
    public static void WriteFloat(Utf8JsonWriter writer, double value)
    {
        if (!double.IsFinite(value))
            throw new InvalidRowException($"a value is {value.ToString(CultureInfo.InvariantCulture)}, for which JSON has no number");
        string text = value.ToString("R", CultureInfo.InvariantCulture);
        writer.WriteRawValue(text.AsSpan().IndexOfAny('.', 'E') < 0 ? text + ".0" : text, skipInputValidation: true);
    }
}
