using System.Text.Json;

namespace DiffusionGemma.Snippets;

/// <summary>Makes the files that programs in the documents name: a checkpoint, and small data sets.</summary>
internal static class SnippetFolder
{
    public static void Fill(string folder)
    {
        string checkpoint = Directory.CreateDirectory(Path.Combine(folder, "path", "to", "diffusiongemma")).FullName;
        foreach (string file in Directory.EnumerateFiles(Fixtures.Checkpoint("tiny-chat")))
            File.Copy(file, Path.Combine(checkpoint, Path.GetFileName(file)));

        string quantized = Directory.CreateDirectory(checkpoint + "-nvfp4").FullName;
        foreach (string file in Directory.EnumerateFiles(Fixtures.Path("quantized", "nvfp4")))
            File.Copy(file, Path.Combine(quantized, Path.GetFileName(file)));

        WriteAdapter(Directory.CreateDirectory(Path.Combine(folder, "path", "to", "adapter")).FullName);

        // 27 batches of 8: more than the 25 steps of the default warm-up.
        string[] answered = [.. Enumerable.Range(0, 216).Select(i => Answered(i % 10, i / 10 % 10))];
        string[] questions = [.. Enumerable.Range(0, 3).Select(i => Row(Question(i, 7)))];
        File.WriteAllLines(Path.Combine(folder, "gsm8k_chat_train.jsonl"), answered);
        File.WriteAllLines(Path.Combine(folder, "train.jsonl"), answered);
        File.WriteAllLines(Path.Combine(folder, "heldout.jsonl"), Enumerable.Range(0, 4).Select(i => Answered(i, 8)));
        File.WriteAllLines(Path.Combine(folder, "questions.jsonl"), questions);
        File.WriteAllLines(Path.Combine(folder, "broken.jsonl"), ["""{"messages": 7}""", .. questions, "no JSON"]);
        File.WriteAllText(Path.Combine(folder, "recipe.yaml"), Recipe);
        File.Copy(Path.Combine(Fixtures.Root, "datasets", "arithmetic", "train.parquet"), Path.Combine(folder, "train.parquet"));
    }

    private const string Recipe = """
        model:
          pretrained_model_name_or_path: path/to/diffusiongemma
          canvas_length: 32
        peft:
          dim: 4
        step_scheduler:
          global_batch_size: 4
        optimizer:
          lr: 1e-3
        dataset:
          path_or_dataset_id: gsm8k_chat_train.jsonl
          seq_length: 128
        """;

    /// <summary>Writes a PEFT folder for the checkpoint, with one pair of the decoder.</summary>
    private static void WriteAdapter(string folder)
    {
        const string Module = "base_model.model.model.decoder.layers.0.self_attn.q_proj";
        const int Columns = 128, Rows = 128, Bytes = sizeof(float);
        File.WriteAllText(Path.Combine(folder, "adapter_config.json"),
            """{"peft_type": "LORA", "r": 1, "lora_alpha": 1, "target_modules": ".*decoder\\.layers\\.0\\.self_attn\\.q_proj$"}""");
        string header = JsonSerializer.Serialize(new Dictionary<string, object>
        {
            [$"{Module}.lora_A.weight"] = new { dtype = "F32", shape = new[] { 1, Columns }, data_offsets = new[] { 0, Columns * Bytes } },
            [$"{Module}.lora_B.weight"] = new
            {
                dtype = "F32", shape = new[] { Rows, 1 }, data_offsets = new[] { Columns * Bytes, (Columns + Rows) * Bytes },
            },
        });
        header = header.PadRight((header.Length + 7) / 8 * 8);
        float[] values = [.. Enumerable.Range(0, Columns + Rows).Select(i => (i % 7 - 3) / 50f)];
        File.WriteAllBytes(Path.Combine(folder, "adapter_model.safetensors"),
        [
            .. BitConverter.GetBytes((long)header.Length), .. System.Text.Encoding.UTF8.GetBytes(header),
            .. values.SelectMany(BitConverter.GetBytes),
        ]);
    }

    private static object Question(int a, int b) => new { role = "user", content = $"What is {a} plus {b}?" };

    private static string Answered(int a, int b) =>
        Row(Question(a, b), new { role = "assistant", content = $"{a}+{b}={a + b}\n#### {a + b}" });

    private static string Row(params object[] messages) => JsonSerializer.Serialize(new { messages });
}
