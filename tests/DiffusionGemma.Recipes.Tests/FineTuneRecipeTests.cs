using Microsoft.ML;
using Microsoft.ML.Data;

namespace DiffusionGemma;

public class FineTuneRecipeTests
{
    [Fact]
    public void A_recipe_in_the_form_of_the_references_LoRA_recipe_gives_its_options()
    {
        using var folder = new RecipeFolder();
        FineTuneRecipe recipe = folder.Load(RecipeText.Lora());

        Assert.Equal("google/diffusiongemma-26B-A4B-it", recipe.Checkpoint);
        Assert.Equal([folder.Rows], recipe.Train.Files);
        Assert.Null(recipe.Validation);
        Assert.Equal(1024, recipe.MaxLength);
        Assert.Equal(256, recipe.PadMultiple);
        Assert.Equal(42, recipe.Seed);
        Assert.Equal(Path.GetFullPath("dllm_checkpoints/diffusion_gemma_lora/"), recipe.Folder);
        FineTuneOptions options = recipe.Options;
        Assert.Equal((800, 1, 8, 1), (options.MaxSteps, options.Epochs, options.GlobalBatchSize, options.Run.MicroBatchSize));
        Assert.Equal((1.5e-4, 25, 42), (options.LearningRate, options.WarmupSteps, options.Seed));
        // Everything that the recipe says of the optimiser and the objective is this library's default.
        Assert.Equal(new OptimizerOptions(), options.Optimizer);
        Assert.Equal(new ObjectiveOptions(), options.Objective);
        Assert.Equal((16, 32.0, LoraInitialization.XavierNormal),
            (options.Lora!.Rank, options.Lora.Alpha, options.Lora.Initialization));
        Assert.Equal(7, options.Lora.Targets.Count);
        Assert.True(options.Run.ActivationCheckpointing);
        Assert.Equal(TimeSpan.FromMinutes(10), options.Parallel.CollectiveTimeout);
        Assert.Equal((400, RunCheckpointOptions.Latest), (options.Checkpoints!.EverySteps, options.Checkpoints.Resume));
        Assert.Null(options.OutputFolder);
    }

    /// <summary>AutoModel's section for QLoRA, with its own keys; 4 bits have the precedence.</summary>
    [Fact]
    public void A_section_for_bitsandbytes_rounds_the_weights_with_a_notice()
    {
        using var folder = new RecipeFolder();
        Assert.Equal(Quantization.None, folder.Load(RecipeText.Lora()).Options.Quantization);
        FineTuneRecipe four = folder.Load(
            RecipeText.Lora(), "--quantization.load_in_4bit", "--quantization.load_in_8bit", "--quantization.bnb_4bit_quant_type", "nf4");
        Assert.Equal(Quantization.Int4, four.Options.Quantization);
        Assert.Contains(four.Notices, notice => notice.Contains("quantization.load_in_4bit") && notice.Contains("NF4"));
        Assert.Contains(four.Notices, notice => notice.Contains("quantization.bnb_4bit_quant_type"));
        FineTuneRecipe eight = folder.Load(RecipeText.Lora(), "--quantization.load_in_8bit", "true");
        Assert.Equal(Quantization.Int8, eight.Options.Quantization);
        Assert.Contains(eight.Notices, notice => notice.Contains("quantization.load_in_8bit"));
        RecipeFault fault = Assert.Single(folder.Faults(RecipeText.Full(), "--quantization.load_in_4bit", "true"));
        Assert.Equal("quantization.load_in_4bit", fault.Key);
        Assert.Contains("needs peft", fault.Message);
    }

    [Fact]
    public void A_recipe_in_the_form_of_the_references_full_recipe_writes_a_folder()
    {
        using var folder = new RecipeFolder();
        FineTuneRecipe recipe = folder.Load(RecipeText.Full());
        Assert.Null(recipe.Options.Lora);
        Assert.Equal(Path.Combine(recipe.Folder, "model"), recipe.Options.OutputFolder);
        Assert.Contains(recipe.Notices, notice => notice.Contains("ci (line") && notice.Contains("no effect"));
    }

    [Fact]
    public void Every_key_of_the_references_recipes_is_used_or_named_in_a_notice()
    {
        using var folder = new RecipeFolder();
        foreach (RecipeText text in (RecipeText[])[RecipeText.Lora(), RecipeText.Full()])
        {
            FineTuneRecipe recipe = folder.Load(text);
            foreach (string key in text.Keys)
            {
                bool isUsed = RecipeKeys.All.Any(known => known.Path == key && known.Use == RecipeKeyUse.Used);
                bool isNoticed = recipe.Notices.Any(notice => Prefixes(key).Any(prefix => $", {notice}".Contains($", {prefix} (line")));
                Assert.True(isUsed ^ isNoticed, $"{key}: used {isUsed}, in a notice {isNoticed}");
            }
        }

        static IEnumerable<string> Prefixes(string key)
        {
            string[] parts = key.Split('.');
            return Enumerable.Range(1, parts.Length).Select(count => string.Join('.', parts[..count]));
        }
    }

    [Fact]
    public void Fit_trains_saves_and_goes_on_where_it_was()
    {
        using var folder = new RecipeFolder();
        RecipeText text = RecipeText.Lora().ForTinyChat(folder.Rows, folder.Output)
            .Without("dataset.chat_template", "step_scheduler.num_epochs");
        var ml = new MLContext(seed: 1);
        using (RecipeRun first = folder.Load(text, "--step_scheduler.max_steps", "4").Fit(ml))
        {
            // Twelve rows are three batches of four: as many epochs are trained as the steps take.
            Assert.Equal([0, 0, 0, 1], first.History.Select(step => step.Epoch));
            Assert.Equal(RunEnd.Finished, first.Summary.End);
            Assert.True(File.Exists(first.ModelFile));
            Assert.True(File.Exists(Path.Combine(first.AdapterFolder!, "adapter_model.safetensors")));
            Assert.Null(first.WeightsFolder);
        }
        Assert.True(Directory.Exists(Path.Combine(folder.Output, "step-000004")));

        List<StepRecord> steps = [];
        using RecipeRun second = folder.Load(text).Fit(ml, new Listener(steps));
        Assert.Equal(4, second.History.Count);
        Assert.Empty(steps);                                        // it was finished
        ITransformer loaded = ml.Model.Load(second.ModelFile, out _);
        IDataView scored = loaded.Transform(folder.Load(text).Train.Load(ml));
        Assert.Equal(12, scored.GetColumn<string>(ChatColumns.Messages).Count());
        (loaded as IDisposable)?.Dispose();
    }

    [Fact]
    public void Full_fine_tuning_measures_held_out_rows_and_writes_the_weights()
    {
        using var folder = new RecipeFolder();
        RecipeText text = RecipeText.Full().ForTinyChat(folder.Rows, folder.Output).Without("dataset.chat_template").Set(
            "dataset.split: train[:8]", $"validation_dataset.path_or_dataset_id: {folder.Rows}", "validation_dataset.split: train[8:]",
            "validation_dataset.seq_length: 256", "step_scheduler.val_every_steps: 1");
        FineTuneRecipe recipe = folder.Load(text);
        using RecipeRun run = recipe.Fit(new MLContext(seed: 1));
        Assert.Equal(8, run.Summary.Rows);
        Assert.Equal(2, run.History.Count);
        Assert.Equal([1, 2], run.Evaluations.Select(record => record.Step));
        Assert.True(File.Exists(Path.Combine(run.WeightsFolder!, "config.json")));
        Assert.Null(run.AdapterFolder);
    }

    /// <summary>Before the run nothing is written; after each of its steps there is a checkpoint, and the same call goes on.</summary>
    [Fact]
    public void A_run_can_be_cancelled_and_its_outcome_disposed_of_twice()
    {
        using var folder = new RecipeFolder();
        RecipeText text = RecipeText.Lora().ForTinyChat(folder.Rows, folder.Output).Without("dataset.chat_template");
        FineTuneRecipe recipe = folder.Load(text, "--step_scheduler.max_steps", "3");
        var ml = new MLContext(seed: 1);
        Assert.ThrowsAny<OperationCanceledException>(() => recipe.Fit(ml, cancellation: new CancellationToken(canceled: true)));
        Assert.False(Directory.Exists(folder.Output));
        for (int step = 0; step < 2; step++)
        {
            using var cancel = new CancellationTokenSource();
            int at = step;
            Assert.ThrowsAny<OperationCanceledException>(() => recipe.Fit(ml, new Watch(record =>
            {
                if (record.Step == at) cancel.Cancel();
            }), cancellation: cancel.Token));
            Assert.True(Directory.Exists(Path.Combine(folder.Output, $"step-{step + 1:D6}")));
            Assert.False(File.Exists(Path.Combine(folder.Output, FineTuneRecipe.ModelFileName)));
        }

        RecipeRun run = recipe.Fit(ml);
        DiffusionGemmaModel model = run.Answers.Model;
        run.Dispose();
        run.Dispose();
        Assert.Throws<ObjectDisposedException>(() => run.Answers.Model);
        Assert.Throws<ObjectDisposedException>(() => CanvasGenerator.Generate(model, [[2, 30]]));
        Assert.Equal(3, run.History.Count);                         // what was seen can still be read
        Assert.True(File.Exists(run.ModelFile));
    }

    private sealed class Watch(Action<StepRecord> report) : IProgress<StepRecord>
    {
        public void Report(StepRecord value) => report(value);
    }

    private sealed class Listener(List<StepRecord> steps) : IProgress<StepRecord>
    {
        public void Report(StepRecord value) => steps.Add(value);
    }
}
