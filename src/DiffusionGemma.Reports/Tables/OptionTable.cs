using System.Collections;
using System.Reflection;
using System.Text.Json;
using System.Text.Json.Nodes;
using TorchSharp;

namespace DiffusionGemma;

/// <summary>The options of a run as one JSON object: names with points between the parts, as in <c>Lora.Rank</c>.</summary>
internal static class OptionTable
{
    private static readonly JsonSerializerOptions Indented = new() { WriteIndented = true };

    public static void Save(FineTuneOptions options, string path)
    {
        var entries = new JsonObject();
        Add(entries, "", options);
        WholeFile.Write(path, stream => JsonSerializer.Serialize(stream, entries, Indented));
    }

    /// <summary>Adds what is a value, a text or a list of them; rows, listeners and histories are no settings.</summary>
    private static void Add(JsonObject entries, string prefix, object record)
    {
        foreach (PropertyInfo property in record.GetType().GetProperties(BindingFlags.Public | BindingFlags.Instance))
        {
            if (property.GetIndexParameters().Length > 0) continue;
            string name = prefix + property.Name;
            Type type = Nullable.GetUnderlyingType(property.PropertyType) ?? property.PropertyType;
            object? value = property.GetValue(record);
            if (IsValue(type)) entries[name] = Node(value);
            else if (IsList(type))
                entries[name] = value is IEnumerable list ? new JsonArray([.. list.Cast<object>().Select(Node)]) : null;
            else if (IsRecord(type) && value is not null) Add(entries, name + ".", value);
            else if (IsRecord(type)) entries[name] = null;
        }
    }

    private static bool IsValue(Type type) => type.IsPrimitive || type.IsEnum || type == typeof(string) || type == typeof(TimeSpan);

    private static bool IsList(Type type) => type.GetInterfaces().Append(type)
        .Where(one => one.IsGenericType && one.GetGenericTypeDefinition() == typeof(IEnumerable<>))
        .Any(one => one.GetGenericArguments()[0] is var item && (IsValue(item) || item == typeof(torch.Device)));

    /// <summary>Options are records of this library's.</summary>
    private static bool IsRecord(Type type) =>
        type.Assembly == typeof(FineTuneOptions).Assembly && type.GetMethod("<Clone>$") is not null;

    private static JsonNode? Node(object? value) => value switch
    {
        null => null,
        bool flag => flag,
        int number => number,
        long number => number,
        double number when double.IsFinite(number) => number,
        float number when float.IsFinite(number) => number,
        _ => Convert.ToString(value, System.Globalization.CultureInfo.InvariantCulture),
    };
}
