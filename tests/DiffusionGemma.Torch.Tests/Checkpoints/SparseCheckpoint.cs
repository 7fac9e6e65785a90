using System.Globalization;
using System.Runtime.InteropServices;
using System.Text.Json;
using System.Text.Json.Nodes;

namespace DiffusionGemma;

/// <summary>A checkpoint of the released shape whose weights are a sparse file: all zero, without disk space.</summary>
internal static unsafe partial class SparseCheckpoint
{
    /// <param name="folder">Is filled.</param>
    /// <param name="layers">30 are the released model.</param>
    /// <param name="vocabulary">262 144 are.</param>
    public static void Write(string folder, int layers, int vocabulary)
    {
        JsonNode config = JsonNode.Parse(ReleasedConfig.Json(perLayer: true))!;
        JsonNode text = config["text_config"]!;
        (text["num_hidden_layers"], text["vocab_size"]) = (layers, vocabulary);
        // The last layers of the released model, whose very last is a full one.
        int dropped = 30 - layers;
        text["layer_types"] =
            new JsonArray([.. text["layer_types"]!.AsArray().Skip(dropped).Select(kind => (JsonNode)kind!.GetValue<string>())]);
        text["per_layer_config"] = new JsonObject(
            from full in text["per_layer_config"]!.AsObject()
            let n = int.Parse(full.Key, CultureInfo.InvariantCulture) - dropped
            where n >= 0
            select KeyValuePair.Create($"{n}", full.Value?.DeepClone()));
        Directory.CreateDirectory(folder);
        File.WriteAllText(Path.Combine(folder, "config.json"), config.ToJsonString());
        WriteWeights(folder);
    }

    /// <summary>Writes the weights that a folder's config.json asks for.</summary>
    public static void WriteWeights(string folder)
    {
        var header = new JsonObject();
        long offset = 0;
        foreach ((string name, long[] shape) in CheckpointLayout.Expected(DiffusionGemmaConfig.Load(folder)))
        {
            long end = offset + 2 * shape.Aggregate(1L, (a, b) => a * b);
            header[name] =
                new JsonObject
                {
                    ["dtype"] = "BF16", ["shape"] = new JsonArray([.. shape.Select(n => (JsonNode)n)]),
                    ["data_offsets"] = new JsonArray(offset, end)
                };
            offset = end;
        }
        byte[] json = JsonSerializer.SerializeToUtf8Bytes(header);
        Array.Resize(ref json, (json.Length + 7) / 8 * 8);
        json.AsSpan(json.AsSpan().LastIndexOf((byte)'}') + 1).Fill((byte)' ');
        using FileStream file = File.Create(Path.Combine(folder, SafetensorsFile.SingleFileName));
        file.Write(BitConverter.GetBytes((long)json.Length));
        file.Write(json);
        file.SetLength(8 + json.Length + offset);
    }

    /// <summary>Returns the bytes of a file that are resident in memory.</summary>
    public static long BytesInMemory(string path)
    {
        using MappedFile file = MappedFile.Open(path);
        long page = Environment.SystemPageSize, pages = (file.Length + page - 1) / page;
        byte[] resident = new byte[pages];
        fixed (byte* flags = resident)
            if (mincore(file.At(0), (nuint)file.Length, flags) != 0)
                throw new InvalidOperationException($"mincore: {Marshal.GetLastPInvokeErrorMessage()}");
        return resident.LongCount(flag => (flag & 1) != 0) * page;
    }

    [LibraryImport("libc", SetLastError = true)]
    private static partial int mincore(void* address, nuint length, byte* flags);
}
