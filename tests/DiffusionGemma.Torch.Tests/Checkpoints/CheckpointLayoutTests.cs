namespace DiffusionGemma;

public class CheckpointLayoutTests
{
    [Fact]
    public void The_released_checkpoint_has_the_published_tensors_and_parameters()
    {
        DiffusionGemmaConfig config = DiffusionGemmaConfig.Parse(ReleasedConfig.Json(perLayer: true), "config.json");
        IReadOnlyDictionary<string, long[]> text = CheckpointLayout.Expected(config);

        Assert.Equal(1047 - 356, text.Count);
        Assert.Equal([262144L, 2816L], text["model.decoder.embed_tokens.weight"]);
        Assert.Equal([128L, 1408L, 2816L], text["model.decoder.layers.0.experts.gate_up_proj"]);
        Assert.Equal([128L, 2816L, 704L], text["model.decoder.layers.0.experts.down_proj"]);
        Assert.Equal([8192L, 2816L], text["model.decoder.layers.5.self_attn.q_proj.weight"]);
        Assert.Equal([1024L, 2816L], text["model.decoder.layers.5.self_attn.k_proj.weight"]);
        Assert.False(text.ContainsKey("model.decoder.layers.5.self_attn.v_proj.weight"));
        Assert.True(text.ContainsKey("model.decoder.layers.4.self_attn.v_proj.weight"));

        // layer_scalar is a buffer, and so are the vision tower's two standardising vectors: the published count leaves them out.
        long parameters = text.Where(pair => !pair.Key.EndsWith(".layer_scalar"))
            .Sum(pair => pair.Value.Aggregate(1L, (product, size) => product * size));
        const long hidden = 1152, dense = 4304, heads = 16, headDim = 72, layers = 27, patch = 3 * 16 * 16, positions = 10240;
        const long layer = 4 * hidden + 3 * hidden * dense + 4 * hidden * heads * headDim + 2 * headDim;
        const long vision = layers * layer + patch * hidden + 2 * positions * hidden + 2816 * hidden;
        Assert.Equal(25_823_778_864, parameters + vision);
    }

    [Theory]
    [InlineData("lm_head.weight", "model.decoder.embed_tokens.weight")]
    [InlineData("model.encoder.language_model.embed_tokens.weight", "model.decoder.embed_tokens.weight")]
    [InlineData("model.encoder.language_model.layers.1.router.scale", "model.decoder.layers.1.router.scale")]
    [InlineData("model.encoder.language_model.layers.1.layer_scalar", null)]
    [InlineData("model.encoder.language_model.self_conditioning.pre_norm.weight", null)]
    [InlineData("model.decoder.norm.weight", null)]
    [InlineData("model.encoder.vision_tower.x", null)]
    public void Tied_copies_are_known_by_name(string name, string? original) => Assert.Equal(original, CheckpointLayout.TiedTo(name));
}
