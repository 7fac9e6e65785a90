using System.Text;
using System.Text.Json;

namespace DiffusionGemma;

/// <summary>Adapters of tiny-chat in PEFT's format that nobody trained: with an effect, and different for each seed.</summary>
internal static class DrawnAdapterFolder
{
    private const int Rank = 2, Hidden = 128;

    /// <param name="folder">Made here.</param>
    /// <param name="seed">Seed of A and B.</param>
    public static string Write(string folder, int seed)
    {
        Directory.CreateDirectory(folder);
        File.WriteAllText(Path.Combine(folder, "adapter_config.json"), JsonSerializer.Serialize(new
        {
            peft_type = "LORA", r = Rank, lora_alpha = Rank, base_model_name_or_path = "tiny-chat", bias = "none", lora_dropout = 0.0,
            target_modules = @".*decoder\.layers\.[01]\.self_attn\.o_proj",
        }));
        (string Name, int Rows, int Columns)[] tensors =
        [
            .. from layer in Enumerable.Range(0, 2)
               from part in new[] { ("A", Rank, Hidden), ("B", Hidden, Rank) }
               select ($"base_model.model.model.decoder.layers.{layer}.self_attn.o_proj.lora_{part.Item1}.weight", part.Item2, part.Item3),
        ];
        var header = new Dictionary<string, object>();
        int offset = 0;
        foreach ((string name, int rows, int columns) in tensors)
        {
            int end = offset + rows * columns * sizeof(float);
            header[name] = new { dtype = "F32", shape = new[] { rows, columns }, data_offsets = new[] { offset, end } };
            offset = end;
        }
        byte[] json = Encoding.UTF8.GetBytes(JsonSerializer.Serialize(header));
        using FileStream file = File.Create(Path.Combine(folder, "adapter_model.safetensors"));
        file.Write(BitConverter.GetBytes((long)json.Length));
        file.Write(json);
        var random = new Random(seed);
        for (int i = 0; i < offset / sizeof(float); i++) file.Write(BitConverter.GetBytes((float)(4 * random.NextDouble() - 2)));
        return folder;
    }
}
