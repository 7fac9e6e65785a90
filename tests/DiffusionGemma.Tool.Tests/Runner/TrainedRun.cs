namespace DiffusionGemma;

/// <summary>A short run of a recipe that several tests look at: four steps of four rows, with held-out rows.</summary>
public sealed class TrainedRun : IAsyncLifetime
{
    private readonly TemporaryFolder _folder = new("trained");

    internal ToolRun Training { get; private set; } = null!;

    /// <summary>The folder of the run.</summary>
    public string Out => File("out");

    public string Rows => File("rows.jsonl");

    public string File(string name) => _folder.File(name);

    /// <inheritdoc/>
    public async ValueTask InitializeAsync()
    {
        WriteRows(Rows);
        Training = await ToolRun.SucceedAsync(
            "train", WriteRecipe(_folder.Path, Out), "--json", "--step_scheduler.max_steps", "4", "--device", "cpu");
    }

    /// <inheritdoc/>
    public ValueTask DisposeAsync()
    {
        _folder.Dispose();
        return ValueTask.CompletedTask;
    }

    internal static void WriteRows(string path) => System.IO.File.WriteAllLines(path, Enumerable.Range(1, 24).Select(n =>
        $$"""{"messages":[{"role":"user","content":"What is {{n}} plus {{n}}?"},{"role":"assistant","content":"It is {{n + n}}."}]}"""));

    /// <summary>A recipe for the rows beside it.</summary>
    internal static string WriteRecipe(string folder, string output, string? checkpoint = null)
    {
        string path = Path.Combine(folder, "recipe.yaml");
        System.IO.File.WriteAllText(path, $"""
            recipe: DiffusionGemmaSFTRecipe
            seed: 42
            step_scheduler:
              max_steps: 1000
              num_epochs: 1000
              global_batch_size: 4
              local_batch_size: 4
              ckpt_every_steps: 1000
              val_every_steps: 2
            model:
              pretrained_model_name_or_path: {checkpoint ?? Fixtures.Checkpoint("tiny-chat")}
              canvas_length: 32
            checkpoint:
              enabled: true
              checkpoint_dir: {output}
            dllm:
              mode: block_diffusion
            optimizer:
              lr: 1.0e-3
            lr_scheduler:
              lr_warmup_steps: 1
            peft:
              dim: 4
              alpha: 8
            dataset:
              path_or_dataset_id: rows.jsonl
              seq_length: 128
            validation_dataset:
              path_or_dataset_id: rows.jsonl
              split: "train[:4]"
              seq_length: 128
            """);
        return path;
    }
}
