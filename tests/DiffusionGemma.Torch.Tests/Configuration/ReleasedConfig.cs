using System.Text.Json.Nodes;

namespace DiffusionGemma;

/// <summary>The text part of the config.json of google/diffusiongemma-26B-A4B-it.</summary>
internal static class ReleasedConfig
{
    /// <param name="perLayer">The newer form of the full layers' heads.</param>
    public static string Json(bool perLayer)
    {
        JsonObject config = JsonNode.Parse("""
            {
              "architectures": ["DiffusionGemmaForBlockDiffusion"], "model_type": "diffusion_gemma", "dtype": "bfloat16",
              "canvas_length": 256,
              "tie_word_embeddings": true, "initializer_range": 0.02, "boi_token_id": 255999, "eoi_token_id": 258882,
              "image_token_id": 258880,
              "eos_token_id": [1, 106],
              "text_config": {
                "model_type": "diffusion_gemma_text", "vocab_size": 262144, "hidden_size": 2816, "intermediate_size": 2112,
                "moe_intermediate_size": 704, "num_experts": 128, "top_k_experts": 8, "num_hidden_layers": 30, "num_attention_heads": 16,
                "num_key_value_heads": 8, "head_dim": 256, "sliding_window": 1024, "max_position_embeddings": 262144, "rms_norm_eps": 1e-6,
                "final_logit_softcapping": 30.0, "hidden_activation": "gelu_pytorch_tanh", "use_bidirectional_attention": "vision",
                "attention_bias": false, "attention_dropout": 0.0, "bos_token_id": 2, "eos_token_id": 1, "pad_token_id": 0,
                "tie_word_embeddings": true, "initializer_range": 0.02,
                "rope_parameters": {
                  "sliding_attention": {"rope_type": "default", "rope_theta": 10000.0},
                  "full_attention": {"rope_type": "proportional", "rope_theta": 1000000.0, "partial_rotary_factor": 0.25}
                }
              },
              "vision_config": {"model_type": "gemma4_vision"}
            }
            """)!.AsObject();
        JsonObject text = config["text_config"]!.AsObject();
        text["layer_types"] =
            new JsonArray([.. Enumerable.Range(0, 30).Select(n => (JsonNode)(IsFull(n) ? "full_attention" : "sliding_attention"))]);
        if (perLayer)
        {
            text["per_layer_config"] = new JsonObject();
            foreach (int n in Enumerable.Range(0, 30).Where(IsFull))
                text["per_layer_config"]![n.ToString()] = new JsonObject { ["head_dim"] = 512, ["num_key_value_heads"] = 2 };
        }
        else
        {
            text["global_head_dim"] = 512;
            text["num_global_key_value_heads"] = 2;
        }
        return config.ToJsonString();
    }

    private static bool IsFull(int n) => n % 6 == 5;
}
