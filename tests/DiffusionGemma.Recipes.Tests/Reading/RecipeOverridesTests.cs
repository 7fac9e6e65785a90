namespace DiffusionGemma.Reading;

public class RecipeOverridesTests
{
    [Fact]
    public void Values_of_the_command_line_take_the_place_of_the_files()
    {
        using var folder = new RecipeFolder();
        FineTuneOptions options = folder.Load(RecipeText.Lora(), "--optimizer.lr", "2e-5", "--optimizer.betas=[0.8, 0.9]",
            "--lr_scheduler.min_lr=0", "--step_scheduler.max_steps", "1_00", "--dataloader.shuffle", "False",
            "--peft.target_modules", "['*.q_proj']", "--distributed.activation_checkpointing", "--seed", "7").Options;
        Assert.Equal((2e-5, 0.8, 0.9), (options.LearningRate, options.Optimizer.Beta1, options.Optimizer.Beta2));
        Assert.Equal((100, false, true, 7), (options.MaxSteps, options.Run.Shuffle, options.Run.ActivationCheckpointing, options.Seed));
        Assert.Equal(["*.q_proj"], options.Lora!.Targets);
    }

    [Fact]
    public void A_section_that_is_not_in_the_file_is_made()
    {
        using var folder = new RecipeFolder();
        FineTuneOptions options = folder.Load(RecipeText.Full().Without("clip_grad_norm"), "--clip_grad_norm.max_norm", "0.5",
            "--peft.dim", "4").Options;
        Assert.Equal(0.5, options.Optimizer.MaxGradientNorm);
        Assert.Equal(4, options.Lora!.Rank);
    }

    [Fact]
    public void The_last_value_of_a_key_that_is_given_again_counts_and_is_told()
    {
        using var folder = new RecipeFolder();
        FineTuneRecipe recipe = folder.Load(RecipeText.Lora(), "--optimizer.lr", "2e-5", "--seed", "7", "--optimizer.lr=3e-5");
        Assert.Equal(3e-5, recipe.Options.LearningRate);
        Assert.Equal(
            "--optimizer.lr is given more than once: the last value, 3e-5, counts.",
            Assert.Single(recipe.Notices, notice => notice.StartsWith("--", StringComparison.Ordinal)));
    }

    [Fact]
    public void None_takes_a_value_away()
    {
        using var folder = new RecipeFolder();
        Assert.Null(folder.Load(RecipeText.Lora(), "--peft", "none").Options.Lora);
    }

    [Fact]
    public void A_value_is_set_where_it_is_named_and_not_where_an_alias_stands_for_the_same_section()
    {
        using var folder = new RecipeFolder();
        string path = folder.File("alias.yaml");
        File.WriteAllText(path, RecipeText.Lora().Without("dataset") + $$"""
            dataset: &rows
              path_or_dataset_id: {{folder.Rows}}
              seq_length: 512
            validation_dataset: *rows
            """);
        FineTuneRecipe recipe = FineTuneRecipe.Load(path, ["--validation_dataset.seq_length", "256"]);
        Assert.Equal((512, 256), (recipe.Train.MaxLength, recipe.Validation!.MaxLength));
    }

    [Theory]
    [InlineData("--optimizer.lr=fast", "optimizer.lr: 'fast' is no number")]
    [InlineData("--optimizer.rl=1e-5", "optimizer.rl: there is no such key. Did you mean 'lr'?")]
    [InlineData("optimizer.lr=1e-5", "'optimizer.lr=1e-5' is no override")]
    [InlineData("--", "'--' is no override")]
    [InlineData("--checkpoint.checkpoint_dir", "checkpoint.checkpoint_dir: 'true' is a truth value, where a text is expected")]
    [InlineData("--dataset.path_or_dataset_id", "dataset.path_or_dataset_id: 'true' is a truth value, where a text is expected")]
    [InlineData("--checkpoint.checkpoint_dir=", "checkpoint.checkpoint_dir: the value is empty")]
    [InlineData("--.lr=1", ".lr: this is no key")]
    [InlineData("--optimizer.betas=[0.9", "optimizer.betas: [0.9: this is no YAML")]
    public void A_value_at_fault_is_named_without_a_line(string argument, string words)
    {
        using var folder = new RecipeFolder();
        IReadOnlyList<RecipeFault> faults = folder.Faults(RecipeText.Lora(), argument);
        Assert.Contains(faults, fault => fault.Line is null && fault.ToString().StartsWith(words, StringComparison.Ordinal));
    }
}
