namespace DiffusionGemma;

/// <summary>A pipe in place of a file of a checkpoint, an adapter or a run: refused at once, where opening it waits for ever.</summary>
public sealed class PipeTests : TorchTest
{
    [Theory]
    [InlineData("config.json")]
    [InlineData("model.safetensors")]
    [InlineData("generation_config.json")]
    [InlineData(Checksums.FileName)]
    public void In_a_checkpoint(string file)
    {
        using TemporaryFolder folder = Fixtures.Temporary();
        foreach (string path in Directory.EnumerateFiles(Fixtures.Checkpoint("tiny-2layer")))
            File.Copy(path, folder.File(Path.GetFileName(path)));
        NamedPipe.Make(folder.File(file));
        Exception error = NamedPipe.Refused(folder.File(file), () =>
        {
            using DiffusionGemmaModel model = DiffusionGemmaModel.Load(folder.Path, verify: file == Checksums.FileName);
            CanvasGenerator.Generate(model, [[2, 30, 31]], new GenerationOptions { MaxDenoisingSteps = 1 });
        });
        Assert.True(error is CheckpointException or InvalidConfigurationException or InvalidDataException, $"{error}");
    }

    [Theory]
    [InlineData("adapter_config.json")]
    [InlineData("adapter_model.safetensors")]
    public void In_an_adapter(string file)
    {
        using TemporaryFolder folder = Fixtures.Temporary();
        using DiffusionGemmaModel model = DiffusionGemmaModel.Load(Fixtures.Checkpoint("tiny-2layer"));
        using (LoraAdapter adapter = LoraAdapter.Create(model, new LoraOptions { Rank = 2 }, seed: 1))
            adapter.Save(folder.Path, "the base");
        File.Delete(folder.File(Checksums.FileName));
        NamedPipe.Make(folder.File(file));
        Assert.IsType<AdapterException>(NamedPipe.Refused(folder.File(file), () => LoraAdapter.Load(folder.Path, model).Dispose()));
    }

    [Theory]
    [InlineData("state.json")]
    [InlineData("state.safetensors")]
    public void In_a_checkpoint_of_a_run(string file)
    {
        using TemporaryFolder folder = Fixtures.Temporary();
        using DiffusionGemmaModel model = DiffusionGemmaModel.Load(Fixtures.Checkpoint("tiny-2layer"));
        FineTuneOptions options = TinyRows.Options with
        {
            Lora = new LoraOptions { Rank = 2 },
            MaxSteps = 1,
            Checkpoints = new RunCheckpointOptions { Folder = folder.Path },
        };
        using (FineTuner.Fit(model, TinyRows.Make(4), options)) model.Adapter = null;
        string path = Path.Combine(Directory.EnumerateDirectories(folder.Path, "step-*").Single(), file);
        NamedPipe.Make(path);
        FineTuneOptions resumed = options with { Checkpoints = options.Checkpoints! with { Resume = RunCheckpointOptions.Latest } };
        Assert.IsType<TrainingException>(NamedPipe.Refused(path, () => FineTuner.Fit(model, TinyRows.Make(4), resumed).Dispose()));
    }
}
