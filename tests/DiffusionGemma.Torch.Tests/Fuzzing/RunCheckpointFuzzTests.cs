using System.Text;

namespace DiffusionGemma;

/// <summary>The folder of a run that is gone on with, in an earlier version's form: without digests, which would find any change.</summary>
public sealed class RunCheckpointFuzzTests : TorchTest
{
    private static readonly FineTuneOptions Options =
        TinyRows.Options with { Lora = new LoraOptions { Rank = 2, Targets = ["*q_proj"] }, MaxSteps = 1 };

    [Fact]
    public void A_broken_checkpoint_of_a_run_fails_only_with_the_typed_error()
    {
        using DiffusionGemmaModel model = DiffusionGemmaModel.Load(Fixtures.Checkpoint("tiny-2layer"));
        IReadOnlyList<TrainingExample> rows = TinyRows.Make(4);
        using TemporaryFolder folder = Fixtures.Temporary();
        Fit(model, rows, folder.Path, resume: null);
        string checkpoint = folder.File("step-000001"), statePath = Path.Combine(checkpoint, "state.json"),
            tensorPath = Path.Combine(checkpoint, "state.safetensors"), state = File.ReadAllText(statePath);
        byte[] tensors = File.ReadAllBytes(tensorPath);
        bool isState = false;
        new MutationFuzzer
        {
            Name = "run-checkpoint", Mutations = 150,                                            // each begins a run
            Make = random => (isState = random.Next(4) > 0) ? Mutations.OfJsonText(random, state) : Mutations.OfBytes(random, tensors),
            Read = bytes =>
            {
                foreach (string left in Directory.EnumerateDirectories(folder.Path)) Directory.Delete(left, recursive: true);
                Directory.CreateDirectory(checkpoint);
                File.WriteAllBytes(statePath, isState ? bytes : Encoding.UTF8.GetBytes(state));
                File.WriteAllBytes(tensorPath, isState ? tensors : bytes);
                try
                {
                    Fit(model, rows, folder.Path, RunCheckpointOptions.Latest);
                }
                catch (TrainingException e)
                {
                    Assert.Contains(folder.Path, e.Message, StringComparison.Ordinal);
                }
            },
        }.Run();
    }

    private static void Fit(DiffusionGemmaModel model, IReadOnlyList<TrainingExample> rows, string folder, string? resume)
    {
        try
        {
            FineTuner.Fit(
                model, rows, Options with { Checkpoints = new RunCheckpointOptions { Folder = folder, EverySteps = 1, Resume = resume } });
        }
        finally
        {
            LoraAdapter? adapter = model.Adapter;
            model.Adapter = null;
            adapter?.Dispose();
        }
    }
}
