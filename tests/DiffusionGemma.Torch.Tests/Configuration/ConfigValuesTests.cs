using System.Text.Json.Nodes;
using TorchSharp;

namespace DiffusionGemma;

/// <summary>
/// Every value of config.json and generation_config.json in turn replaced by each of a list, or taken away: the model answers, or the error
/// is the library's own and names the file and the entry.
/// </summary>
public sealed class ConfigValuesTests : TorchTest
{
    private static readonly string[] Values =
    [
        "null", "true", "0", "-1", "1", "3", "1.5", "1e18", "1e400", "-0.0", "2147483647", "4294967296", "\"\"", "\"x\"", "\"NaN\"", "[]",
        "[1]", "[[1]]", "[null]", "[\"full_attention\"]", "{}", "{\"x\": 1}",
    ];

    /// <summary>Values that are no JSON, though Python writes and reads them.</summary>
    private static readonly string[] PythonValues = ["NaN", "-Infinity"];

    [Fact]
    public void A_value_of_config_json_is_used_or_named() => Replace("config.json", 900);

    [Fact]
    public void A_value_of_generation_config_json_is_used_or_named() => Replace("generation_config.json", 250);

    private static void Replace(string file, int atLeast)
    {
        using TemporaryFolder folder = Fixtures.Temporary();
        foreach (string path in Directory.GetFiles(Fixtures.Checkpoint("tiny-2layer")))
            File.Copy(path, folder.File(Path.GetFileName(path)));
        JsonNode original = JsonNode.Parse(File.ReadAllText(folder.File(file)))!;
        List<string> faults = [];
        int tried = 0;
        foreach (string[] place in Places(original, []))
            foreach (string? value in Values.Append(null).Concat(PythonValues))
            {
                File.WriteAllText(folder.File(file), With(original, place, value));
                tried++;
                if (Fault(folder.Path, folder.File(file), place, isJson: !PythonValues.Contains(value)) is { } fault)
                    faults.Add($"{string.Join('.', place)} = {value ?? "(taken away)"}: {fault}");
            }
        Assert.True(faults.Count == 0, $"{faults.Count} of {tried}:\n{string.Join('\n', faults.Take(40))}");
        Assert.True(tried >= atLeast, $"{tried}");
    }

    /// <summary>The error where it is not ours, or names neither file nor entry; null where all is well.</summary>
    private static string? Fault(string folder, string file, string[] place, bool isJson)
    {
        try
        {
            using DiffusionGemmaModel model = DiffusionGemmaModel.Load(folder);
            using var scope = torch.NewDisposeScope();
            CanvasGenerator.Generate(model, [[2, 10, 11]], new GenerationOptions { MaxNewTokens = 8, MaxDenoisingSteps = 2 });
            return null;
        }
        catch (InvalidConfigurationException e)
        {
            string[] names = [.. place.Where(name => !int.TryParse(name, out _))];
            return !e.Message.Contains(file, StringComparison.Ordinal) ? $"no file: {e.Message}"
                : !isJson || names.Length == 0 || names.Any(name => e.Message.Contains(name, StringComparison.Ordinal)) ? null
                : $"no entry: {e.Message}";
        }
        catch (InvalidDataException e)
        {
            return e.Message.Contains(file, StringComparison.Ordinal)
                && (!isJson || place.Any(name => e.Message.Contains($"'{name}'", StringComparison.Ordinal))) ? null : $"{e.Message}";
        }
        // Sizes that the weights do not have; limits that the prompt does not keep; a logit that is not finite.
        catch (Exception e) when (e is CheckpointException or GenerationRequestException or NotFiniteLogitException)
        {
            return null;
        }
        catch (Exception e)
        {
            return $"{e.GetType().Name}: {e.Message}";
        }
    }

    /// <summary>The paths of all values, those of lists and objects as a whole too.</summary>
    private static IEnumerable<string[]> Places(JsonNode? node, string[] above) => node switch
    {
        JsonObject dict => dict.SelectMany(item => Places(item.Value, [.. above, item.Key]).Prepend([.. above, item.Key])),
        JsonArray list => list.Take(1).SelectMany(item => Places(item, [.. above, "0"]).Prepend([.. above, "0"])),
        _ => [],
    };

    private static string With(JsonNode original, string[] place, string? value)
    {
        const string Mark = "\"(here)\"";
        JsonNode root = original.DeepClone(), at = root;
        foreach (string step in place[..^1]) at = at is JsonArray list ? list[int.Parse(step)]! : at[step]!;
        JsonNode? put = value is null ? null : JsonValue.Create("(here)");
        if (at is JsonArray items)
        {
            if (put is null) items.RemoveAt(int.Parse(place[^1]));
            else items[int.Parse(place[^1])] = put;
        }
        else if (put is null) at.AsObject().Remove(place[^1]);
        else at[place[^1]] = put;
        return root.ToJsonString().Replace(Mark, value, StringComparison.Ordinal);
    }
}
