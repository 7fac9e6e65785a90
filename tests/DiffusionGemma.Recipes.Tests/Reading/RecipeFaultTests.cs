namespace DiffusionGemma.Reading;

/// <summary>Faults of a recipe are found before anything is loaded, all of them at once, with their lines.</summary>
public class RecipeFaultTests
{
    [Fact]
    public void All_faults_of_a_file_are_in_one_message_in_the_order_of_their_lines()
    {
        using var folder = new RecipeFolder();
        string path = folder.File("broken.yaml");
        File.WriteAllText(path, """
            recipe: DiffusionGemmaSFTRecipe
            optimizer:
              lr: fast
              betas: [0.9]
              wieght_decay: 0.1
            step_scheduler:
              max_steps: 1.5
              max_steps: 2
            model:
              freeze_router: no
            """);
        RecipeException error = Assert.Throws<RecipeException>(() => FineTuneRecipe.Load(path));
        Assert.Equal(
        [
            "line 3: optimizer.lr: 'fast' is no number",
            "line 4: optimizer.betas: a list of 2 numbers is expected, such as [0.9, 0.99]",
            "line 5: optimizer.wieght_decay: there is no such key. Did you mean 'weight_decay'?",
            "line 7: step_scheduler.max_steps: '1.5' is no whole number",
            "line 8: max_steps: the key is here a second time: remove one of the two",
            "line 10: model.freeze_router: must be true: the router is not trained",
            "model.pretrained_model_name_or_path: is missing: name a checkpoint's folder, or its id on the Hub",
            "dataset.path_or_dataset_id: is missing: name the file of conversations",
        ], error.Faults.Select(fault => fault.ToString()));
        Assert.StartsWith($"{path}: 8 faults\n  line 3: ", error.Message);
    }

    public static TheoryData<string, string> Values => new()
    {
        { "recipe: DiffusionLMSFTRecipe", "DiffusionGemmaSFTRecipe" },
        { "step_scheduler.global_batch_size: 0", "0 must be at least 1" },
        { "step_scheduler.max_steps: 99999999999999999999", "99999999999999999999 must be at most 2147483647" },
        { "step_scheduler.num_epochs: [1]", "a list is no number" },
        { "dist_env.timeout_minutes: -1", "must be a positive number of minutes" },
        { "model.self_conditioning: maybe", "'maybe' is neither true nor false" },
        { "peft.dim: 0", "0 must be at least 1" },
        { "peft.dropout: 1", "must be in [0,1)" },
        { "peft.dropout: 0.1", "activation_checkpointing" },
        { "peft.match_all_linear: true", "target_modules" },
        { "peft.target_modules: {a: b}", "a text or a list of texts is expected" },
        { "peft.lora_A_init: xaver", "Did you mean 'xavier'?" },
        { "checkpoint.model_save_format: torch_save", "safetensors" },
        { "checkpoint.save_consolidated: sometimes", "final, every, true, false" },
        { "distributed.autocast_dtype: float16", "bfloat16, float32" },
        { "dllm.mode: mdlm", "block_diffusion" },
        { "dllm.eps: 2", "must be in [0,1]" },
        { "optimizer._target_: torch.optim.SGD", "AdamW" },
        { "optimizer.lr: -1e-4", "must be positive" },
        { "optimizer.lr: .nan", "must be positive" },
        { "lr_scheduler.min_lr: 1", "must lie between 0 and optimizer.lr" },
        { "lr_scheduler.lr_warmup_steps: 800", "must be less than max_steps" },
        { "lr_scheduler.lr_decay_style: cosin", "Did you mean 'cosine'?" },
        { "lr_scheduler.lr_decay_style: WSD", "WSD needs it" },
        { "lr_scheduler.max_lr: 1e-3", "must be optimizer.lr's" },
        { "lr_scheduler.end_wd: 0.1", "must be optimizer.weight_decay's" },
        { "clip_grad_norm.max_norm: 0", "must be positive" },
        { "dataset._target_: nemo_automodel.components.datasets.llm.squad.make_squad_dataset", "ChatDataset" },
        { "dataset.path_or_dataset_id: gsm8k_train.jsonl", "diffusion-gemma prepare gsm8k" },
        { "dataset.path_or_dataset_id: hf://datasets/nobody", "is no address of files on the Hub" },
        { "dataset.split: train[10", "is no split" },
        { "dataset.unshifted: false", "must be true" },
        { "dataset.chat_template: \"{{ messages }}\"", "write it to a file" },
        { "model.pretrained_model_name_or_path: a/b/c", "neither a folder" },
        { "wandbb.enable: false", "Did you mean 'wandb'?" },
        { "dllm.lr: 1e-4", "Did you mean" },
        { "model.backend.dispatcherr: torch", "Did you mean 'dispatcher'?" },
        { "optimizer: fast", "a section of keys is expected" },
    };

    [Theory]
    [MemberData(nameof(Values))]
    public void A_value_that_cannot_be_meant_is_a_fault_of_its_key(string entry, string words)
    {
        using var folder = new RecipeFolder();
        string key = entry[..entry.IndexOf(':')];
        RecipeText recipe = RecipeText.Lora();
        if (key == "optimizer") recipe.Without("optimizer");
        IReadOnlyList<RecipeFault> faults = folder.Faults(recipe.Set(entry));
        RecipeFault fault = Assert.Single(faults, fault => fault.ToString().Contains(words, StringComparison.Ordinal));
        Assert.NotNull(fault.Key);
        Assert.All(faults, other => Assert.True(other.Key.Split('.')[0] == key.Split('.')[0] || other.Key.StartsWith("lr_scheduler"),
            other.ToString()));
    }

    [Fact]
    public void Numbers_that_must_be_the_checkpoints_name_the_override()
    {
        using var folder = new RecipeFolder();
        RecipeText recipe = RecipeText.Lora().Set($"model.pretrained_model_name_or_path: {Fixtures.Checkpoint("tiny-chat")}",
            "dataset.seq_length: 2048");
        string[] faults = [.. folder.Faults(recipe).Select(fault => fault.Message)];
        Assert.Equal(5, faults.Length);
        Assert.Contains(faults, message => message.EndsWith("which is 32: --model.canvas_length 32"));
        Assert.Contains(faults, message => message.EndsWith("which is 2048: --dllm.vocab_size 2048"));
        Assert.Contains(faults, message => message.EndsWith("--dataset.seq_length 1024"));
        FineTuneRecipe fitted = folder.Load(recipe, "--model.canvas_length", "32", "--dllm.block_size", "32", "--dllm.pad_block_size=32",
            "--dllm.vocab_size", "2048", "--dataset.seq_length", "1024");
        Assert.Equal(1024, fitted.MaxLength);
    }

    [Fact]
    public void Options_the_reference_leaves_out_have_its_defaults()
    {
        using var folder = new RecipeFolder();
        FineTuneRecipe recipe = folder.Load(RecipeText.Full().Without("lr_scheduler", "step_scheduler.num_epochs", "optimizer.betas",
            "optimizer.lr", "optimizer.weight_decay", "clip_grad_norm"));
        FineTuneOptions options = recipe.Options;
        Assert.Equal((1e-3, 0, null), (options.LearningRate, options.WarmupSteps, options.Epochs));
        Assert.Equal((LearningRateDecay.Constant, 0.9, 0.999, 0.01, 1.0), (options.Optimizer.Decay, options.Optimizer.Beta1,
            options.Optimizer.Beta2, options.Optimizer.WeightDecay, options.Optimizer.MaxGradientNorm));

        recipe = folder.Load(RecipeText.Lora().Set("lr_scheduler: {lr_decay_style: linear}", "clip_grad_norm.max_norm: null",
            "optimizer.lr: 1e-5").Without("peft.dim", "peft.target_modules", "step_scheduler.max_steps", "step_scheduler.num_epochs",
            "lr_scheduler.lr_warmup_steps", "lr_scheduler.init_lr", "lr_scheduler.lr_decay_style", "lr_scheduler.min_lr"));
        options = recipe.Options;
        Assert.Equal((10, null), (options.Epochs, options.MaxSteps));
        Assert.Equal((LearningRateDecay.Linear, 1e-5 / 10, 1e-5 / 100), (options.Optimizer.Decay, options.Optimizer.InitialLearningRate,
            options.Optimizer.MinLearningRate));
        Assert.Equal(double.PositiveInfinity, options.Optimizer.MaxGradientNorm);
        Assert.Equal((8, 7), (options.Lora!.Rank, options.Lora.Targets.Count));
    }

    [Fact]
    public void Ranks_that_the_experts_are_split_over_are_those_there_are()
    {
        using var folder = new RecipeFolder();
        FineTuneRecipe alone = folder.Load(RecipeText.Lora());
        Assert.Null(alone.Options.Parallel.ExpertParallel);
        Assert.Contains(alone.Notices, notice => notice.StartsWith("distributed.ep_size is 8"));

        string path = RecipeText.Lora().Write(folder.Path);
        TorchSharp.torch.Device[] four = [.. Enumerable.Repeat(TorchSharp.torch.CPU, 4)];
        Assert.Equal(2, FineTuneRecipe.Load(path, ["--distributed.ep_size", "2"], four).Options.Parallel.ExpertParallel);
        Assert.Null(FineTuneRecipe.Load(path, null, four).Options.Parallel.ExpertParallel);
        RecipeException error = Assert.Throws<RecipeException>(() => FineTuneRecipe.Load(path, ["--distributed.ep_size", "3"], four));
        Assert.Contains("does not divide the 4 ranks", error.Message);
    }

    [Fact]
    public void A_template_that_is_not_there_is_the_checkpoints_own_with_a_notice()
    {
        using var folder = new RecipeFolder();
        FineTuneRecipe recipe = folder.Load(RecipeText.Lora());
        Assert.Null(recipe.ChatTemplate);
        Assert.Contains(recipe.Notices, notice => notice.StartsWith("dataset.chat_template: there is no"));
        string file = folder.File("own.jinja");
        File.WriteAllText(file, "{{ messages }}");
        Assert.Equal(file, folder.Load(RecipeText.Lora().Set("dataset.chat_template: own.jinja")).ChatTemplate);
    }

    [Fact]
    public void A_data_set_on_the_Hub_and_files_by_pattern_are_named_by_their_addresses()
    {
        using var folder = new RecipeFolder();
        RecipeText recipe = RecipeText.Lora();
        Assert.Equal(["hf://datasets/org/chats/main/train-*.parquet"], folder.Load(
            recipe.Set("dataset.path_or_dataset_id: org/chats", "dataset.name: main", "dataset.split: train[:100]")).Train.Files);
        Assert.Equal(["hf://datasets/org/chats/**/validation-*.parquet"], folder.Load(
            recipe.Without("dataset.name").Set("dataset.split: validation")).Train.Files);
        Assert.Equal([folder.Rows, folder.Rows], folder.Load(
            recipe.Set($"dataset.path_or_dataset_id: [gsm8k_chat_train.jsonl, {folder.Rows}]")).Train.Files);
    }

    [Fact]
    public void A_file_that_is_not_there_or_too_large_is_no_recipe()
    {
        using var folder = new RecipeFolder();
        Assert.Throws<FileNotFoundException>(() => FineTuneRecipe.Load(folder.File("none.yaml")));
        string large = folder.File("large.yaml");
        File.WriteAllText(large, new string('#', RecipeYaml.MaxBytes + 1));
        string latin = folder.File("latin.yaml");
        File.WriteAllBytes(latin, [(byte)'a', (byte)':', (byte)' ', 0xE9]);
        Assert.Contains("not UTF-8", Assert.Throws<RecipeException>(() => FineTuneRecipe.Load(latin)).Message);
        Assert.Contains("larger than 1 MiB", Assert.Throws<RecipeException>(() => FineTuneRecipe.Load(large)).Message);
    }
}
