using TorchSharp;
using static TorchSharp.torch;

namespace DiffusionGemma;

/// <summary>A checkpoint's folder trained on one device: as its model is trained in place, and the model comes back.</summary>
public class FineTunerFolderTests : TorchTest
{
    private static readonly string Folder = Fixtures.Checkpoint("tiny-2layer");
    private static readonly FineTuneOptions Options = TinyRows.Options with { MaxSteps = 3, Devices = [CPU] };

    [Fact]
    public void A_low_rank_run_returns_the_model_with_its_adapter()
    {
        FineTuneOptions options = Options with { Lora = new LoraOptions { Rank = 2 } };
        using var model = DiffusionGemmaModel.Load(Folder);
        using FineTuneResult inPlace = FineTuner.Fit(model, TinyRows.Make(16), options);
        using FineTuneResult result = FineTuner.Fit(Folder, TinyRows.Make(16), options);
        Assert.Equal(inPlace.History.Select(r => r.Loss), result.History.Select(r => r.Loss));
        Assert.Null(inPlace.Model);
        Assert.Same(result.Adapter, result.Model!.Adapter);
        Assert.Equal(DeviceType.CPU, result.Device.type);
        foreach ((string name, Tensor value) in inPlace.Adapter!.Parameters())
            Assert.Equal(0, Largest(result.Adapter!.Parameters().Single(p => p.Key == name).Value, value));
        model.Adapter = null;
    }

    [Theory]
    [InlineData(ScalarType.Float32, true)]
    [InlineData(ScalarType.Float64, false)]                                                      // the float32 folder rounds its weights
    public void A_full_run_writes_the_folder_and_returns_the_model_that_it_holds(ScalarType precision, bool isReturned)
    {
        using TemporaryFolder folder = Fixtures.Temporary();
        FineTuneOptions options = Options with { OutputFolder = folder.File("out"), Run = Options.Run with { Precision = precision } };
        using FineTuneResult result = FineTuner.Fit(Folder, TinyRows.Make(16), options);
        Assert.Equal(isReturned, result.Model is not null);
        Assert.Null(result.Adapter);
        using var written = DiffusionGemmaModel.Load(folder.File("out"));
        using var original = DiffusionGemmaModel.Load(Folder);
        const string Changed = "model.decoder.embed_tokens.weight";
        string name = written.Stack.Parameters.Keys.Single(key => Changed.EndsWith(key, StringComparison.Ordinal) || key == Changed);
        Assert.NotEqual(0, Largest(written.Stack.Parameters[name], original.Stack.Parameters[name]));
        if (result.Model is { } model) Assert.Equal(0, Largest(written.Stack.Parameters[name], model.Stack.Parameters[name]));
    }

    [Fact]
    public void Options_that_do_not_suit_the_folder_are_refused_before_anything_is_read()
    {
        using TemporaryFolder folder = Fixtures.Temporary();
        string missing = folder.File("missing");
        Assert.Contains(
            "OutputFolder", Assert.Throws<ArgumentException>(() => FineTuner.Validate(missing, Options)).Message, StringComparison.Ordinal);
        FineTuneOptions itself = Options with { OutputFolder = missing + Path.DirectorySeparatorChar };
        Assert.Contains(
            "would be lost", Assert.Throws<ArgumentException>(() => FineTuner.Validate(missing, itself)).Message, StringComparison.Ordinal);
        FineTuner.Validate(missing, Options with { Lora = new LoraOptions() });

        File.WriteAllText(folder.File("file"), "");
        FineTuneOptions unwritable = Options with { OutputFolder = Path.Combine(folder.File("file"), "below") };
        Assert.Contains("OutputFolder", Assert.Throws<IOException>(() => FineTuner.Fit(Folder, TinyRows.Make(16), unwritable)).Message,
            StringComparison.Ordinal);
    }

    [Fact]
    public void A_run_that_is_refused_leaves_no_output_folder()
    {
        using TemporaryFolder folder = Fixtures.Temporary();
        FineTuneOptions options = Options with { OutputFolder = folder.File("out"), WarmupSteps = 3 };
        TrainingException error = Assert.Throws<TrainingException>(() => FineTuner.Fit(Folder, TinyRows.Make(16), options));
        Assert.Equal("FineTuneOptions.WarmupSteps", error.Option);
        Assert.False(Directory.Exists(folder.File("out")));
    }
}
