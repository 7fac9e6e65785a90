using System.Text;

namespace DiffusionGemma;

/// <summary>Recipes in the form of the reference's two, made of their keys and values.</summary>
internal sealed class RecipeText
{
    private static readonly string[] Backend =
    [
        "model.backend._target_: nemo_automodel.components.models.common.BackendConfig", "model.backend.attn: sdpa",
        "model.backend.linear: torch", "model.backend.rms_norm: torch_fp32", "model.backend.experts: torch_mm",
        "model.backend.dispatcher: torch", "model.backend.enable_hf_state_dict_adapter: true",
        "model.backend.enable_fsdp_optimizations: true",
    ];

    private readonly List<(string Key, string Value)> _entries = [];

    private RecipeText(IEnumerable<string> entries)
    {
        foreach (string entry in entries)
            Set(entry);
    }

    /// <summary>The form of the reference's recipe for LoRA.</summary>
    public static RecipeText Lora() => new([.. Common("dllm_checkpoints/diffusion_gemma_lora/", "false"),
        "peft._target_: nemo_automodel.components._peft.lora.PeftConfig", "peft.match_all_linear: false",
        "peft.target_modules: ['*self_attn.q_proj', '*self_attn.k_proj', '*self_attn.v_proj', '*self_attn.o_proj', '*.mlp.gate_proj', "
            + "'*.mlp.up_proj', '*.mlp.down_proj']",
        "peft.dim: 16", "peft.alpha: 32"]);

    /// <summary>The form of the reference's recipe for full fine-tuning.</summary>
    public static RecipeText Full() => new([.. Common("dllm_checkpoints/diffusion_gemma_sft/", "final"),
        "ci.recipe_owner: someone", "ci.time: \"02:00:00\"", "ci.nodes: 1"]);

    /// <summary>Sets or adds a key: <c>optimizer.lr: 1e-5</c>.</summary>
    public RecipeText Set(params string[] entries)
    {
        foreach (string entry in entries)
        {
            int colon = entry.IndexOf(": ", StringComparison.Ordinal);
            (string key, string value) = (entry[..colon], entry[(colon + 2)..]);
            int at = _entries.FindIndex(known => known.Key == key);
            if (at >= 0) _entries[at] = (key, value);
            else _entries.Add((key, value));
        }
        return this;
    }

    /// <summary>Removes a key, or a section.</summary>
    public RecipeText Without(params string[] keys)
    {
        _entries.RemoveAll(entry => keys.Any(key => entry.Key == key || entry.Key.StartsWith(key + ".", StringComparison.Ordinal)));
        return this;
    }

    /// <summary>The keys.</summary>
    public IReadOnlyList<string> Keys => [.. _entries.Select(entry => entry.Key)];

    /// <summary>For the small checkpoint, and short: four steps of four rows.</summary>
    public RecipeText ForTinyChat(string rows, string folder) => Set(
        $"model.pretrained_model_name_or_path: {Fixtures.Checkpoint("tiny-chat")}", "model.canvas_length: 32", "dllm.block_size: 32",
        "dllm.pad_block_size: 32", "dllm.pad_seq_len_divisible: 32", "dllm.vocab_size: 2048", "dataset.seq_length: 256",
        $"dataset.path_or_dataset_id: {rows}", $"checkpoint.checkpoint_dir: {folder}", "step_scheduler.max_steps: 4",
        "step_scheduler.global_batch_size: 4", "step_scheduler.ckpt_every_steps: 2", "lr_scheduler.lr_warmup_steps: 1");

    /// <summary>Writes the recipe as a file with nested sections.</summary>
    public string Write(string folder, string name = "recipe.yaml")
    {
        string path = Path.Combine(folder, name);
        File.WriteAllText(path, ToString());
        return path;
    }

    public override string ToString()
    {
        var text = new StringBuilder();
        WriteSection(text, _entries, indent: 0);
        return text.ToString();
    }

    private static void WriteSection(StringBuilder text, IEnumerable<(string Key, string Value)> entries, int indent)
    {
        foreach (var section in entries.GroupBy(entry => entry.Key.Split('.')[0]))
        {
            text.Append(' ', indent).Append(section.Key).Append(':');
            if (section.Count() == 1 && section.Single().Key == section.Key)
            {
                text.Append(' ').Append(section.Single().Value).Append('\n');
                continue;
            }
            text.Append('\n');
            WriteSection(text, section.Select(entry => (entry.Key[(section.Key.Length + 1)..], entry.Value)), indent + 2);
        }
    }

    private static string[] Common(string folder, string consolidated) =>
    [
        "recipe: DiffusionGemmaSFTRecipe",
        "step_scheduler.global_batch_size: 8", "step_scheduler.local_batch_size: 1", "step_scheduler.log_remote_every_steps: 5",
        "step_scheduler.ckpt_every_steps: 400", "step_scheduler.val_every_steps: 100000", "step_scheduler.max_steps: 800",
        "step_scheduler.num_epochs: 1",
        "dist_env.backend: nccl", "dist_env.timeout_minutes: 10", "seed: 42", "wandb.enable: false", "wandb.project: diffusiongemma",
        "model._target_: nemo_automodel.NeMoAutoModelForCausalLM.from_pretrained",
        "model.pretrained_model_name_or_path: google/diffusiongemma-26B-A4B-it", "model.torch_dtype: float32", "model.canvas_length: 256",
        "model.self_conditioning: true", "model.freeze_router: true", .. Backend,
        "loss_fn._target_: nemo_automodel.components.loss.masked_ce.MaskedCrossEntropy",
        "checkpoint.enabled: true", $"checkpoint.checkpoint_dir: {folder}", "checkpoint.model_save_format: safetensors",
        $"checkpoint.save_consolidated: {consolidated}",
        "distributed.strategy: fsdp2", "distributed.dp_size: none", "distributed.tp_size: 1", "distributed.cp_size: 1",
        "distributed.pp_size: 1", "distributed.ep_size: 8", "distributed.sequence_parallel: false",
        "distributed.activation_checkpointing: true", "distributed.mp_policy.param_dtype: float32",
        "distributed.mp_policy.reduce_dtype: float32", "distributed.mp_policy.output_dtype: float32",
        "distributed.autocast_dtype: bfloat16", "distributed.offload_policy: null", "distributed.moe.reshard_after_forward: false",
        "dllm.mode: block_diffusion", "dllm.block_size: 256", "dllm.vocab_size: 262144", "dllm.eps: 0.001", "dllm.pad_block_size: 256",
        "dllm.pad_seq_len_divisible: 256",
        "optimizer._target_: torch.optim.AdamW", "optimizer.betas: [0.95, 0.99]", "optimizer.eps: 1.0e-8", "optimizer.lr: 1.5e-4",
        "optimizer.weight_decay: 1.0e-4", "clip_grad_norm.max_norm: 1.0",
        "lr_scheduler.lr_warmup_steps: 25", "lr_scheduler.init_lr: 0.0", "lr_scheduler.lr_decay_style: cosine",
        "lr_scheduler.min_lr: 1.5e-5",
        "dataset._target_: nemo_automodel.components.datasets.llm.chat_dataset.ChatDataset",
        "dataset.path_or_dataset_id: gsm8k_chat_train.jsonl", "dataset.split: train", "dataset.shuffle_seed: 42",
        "dataset.seq_length: 1024", "dataset.truncation: true", "dataset.unshifted: true", "dataset.mask_history: true",
        "dataset.chat_template: examples/dllm_sft/diffusion_gemma_chat_template.jinja",
        "dataset.tokenizer.pretrained_model_name_or_path: google/diffusiongemma-26B-A4B-it",
        "dataloader._target_: torchdata.stateful_dataloader.StatefulDataLoader",
        "dataloader.collate_fn: nemo_automodel.components.datasets.utils.default_collater", "dataloader.shuffle: true",
    ];
}
