namespace DiffusionGemma;

public class GenerationOptionsTests
{
    private static readonly DiffusionGemmaConfig Config = DiffusionGemmaConfig.Load(Fixtures.Checkpoint("tiny-2layer"));

    public static TheoryData<string, GenerationOptions> OutOfRange() => new()
    {
        { "MaxNewTokens", new() { MaxNewTokens = 0 } }, { "MaxDenoisingSteps", new() { MaxDenoisingSteps = 0 } },
        { "EntropyBound", new() { EntropyBound = -1 } },
        { "EntropyBound", new() { EntropyBound = double.NaN } }, { "TMin", new() { TMin = -0.1 } }, { "TMin", new() { TMin = double.NaN } },
        { "TMax", new() { TMin = 0.5, TMax = 0.4 } }, { "TMax", new() { TMax = double.PositiveInfinity } },
        { "StabilityThreshold", new() { StabilityThreshold = -1 } }, { "ConfidenceThreshold", new() { ConfidenceThreshold = double.NaN } },
        { "TopK", new() { TopK = -1 } }, { "TopP", new() { TopP = 0 } }, { "TopP", new() { TopP = 1.1 } },
        { "TopP", new() { TopP = double.NaN } },
        { "Sampler", new() { Sampler = (CanvasSampler)7 } }, { "CommitThreshold", new() { CommitThreshold = 0.9 } },
        { "MinimumCommits", new() { MinimumCommits = 1 } },
        { "EditThreshold", new() { EditThreshold = 0.9 } },
        { "EntropyBound", new() { EntropyBound = 1, Sampler = CanvasSampler.BlockRefinement } },
        { "CommitThreshold", new() { CommitThreshold = -1, Sampler = CanvasSampler.BlockRefinement } },
        { "MinimumCommits", new() { MinimumCommits = -1, Sampler = CanvasSampler.BlockRefinement } },
        { "EditThreshold", new() { EditThreshold = double.NaN, Sampler = CanvasSampler.BlockRefinement } },
        { "EosTokenIds", new() { EosTokenIds = [1, 128] } }, { "PadTokenId", new() { PadTokenId = -1 } },
    };

    [Theory]
    [MemberData(nameof(OutOfRange))]
    public void An_option_out_of_range_is_named(string name, GenerationOptions options)
    {
        var error = Assert.Throws<ArgumentOutOfRangeException>(
            () => ResolvedGenerationOptions.Resolve(options, Fixtures.Checkpoint("tiny-2layer"), Config));
        Assert.Matches($"GenerationOptions.{name} (must|is of)", error.Message);
    }

    [Fact]
    public void The_folder_decides_what_the_caller_does_not()
    {
        ResolvedGenerationOptions resolved = ResolvedGenerationOptions.Resolve(
            new GenerationOptions { TMin = 0.1 }, Fixtures.Checkpoint("tiny-2layer"), Config);
        Assert.Equal(
            (16, 12, 0.1, 0.1, 0.8),
            (resolved.MaxNewTokens, resolved.MaxDenoisingSteps, resolved.EntropyBound, resolved.TMin, resolved.TMax));
        Assert.Equal([1, 3], resolved.EosTokenIds);
        Assert.Equal(0.8, resolved.Temperature(12), 1e-12);                                     // the first step's
        Assert.Equal(0.1 + 0.7 / 12, resolved.Temperature(1), 1e-12);
    }

    [Theory]
    [InlineData(null)]
    [InlineData("{}")]
    [InlineData("""{"max_new_tokens": null, "sampler_config": null, "eos_token_id": null}""")]
    public void The_references_defaults_fill_the_rest(string? json)
    {
        ResolvedGenerationOptions resolved = Resolve(json);
        Assert.Equal(
            (256, 48, 0.1, 0.4, 0.8),
            (resolved.MaxNewTokens, resolved.MaxDenoisingSteps, resolved.EntropyBound, resolved.TMin, resolved.TMax));
        Assert.Equal((1, 0.005, 0, 0L), (resolved.StabilityThreshold, resolved.ConfidenceThreshold, resolved.PadTokenId, resolved.Seed));
        Assert.Equal(Config.EosTokenIds, resolved.EosTokenIds);
    }

    [Fact]
    public void Of_equal_entries_the_last_counts()
    {
        ResolvedGenerationOptions resolved = Resolve(
            """{"num_beams": 4, "num_beams": 1, "t_min": "hot", "t_min": 0.2, "sampler_config": 3, "sampler_config":"""
            + """ {"_cls_name": "a", "_cls_name": "EntropyBoundSamplerConfig", "entropy_bound": 1, "entropy_bound": 0.3}}""");
        Assert.Equal((0.2, 0.3), (resolved.TMin, resolved.EntropyBound));
    }

    [Fact]
    public void One_end_token_need_not_be_a_list() => Assert.Equal([7], Resolve("""{"eos_token_id": 7}""").EosTokenIds);

    [Theory]
    [InlineData("not json", "not a JSON object")]
    [InlineData("[1]", "not a JSON object")]
    [InlineData("""{"t_min": "hot"}""", "'t_min' is \"hot\"")]
    [InlineData("""{"max_new_tokens": 1.5}""", "'max_new_tokens' is 1.5")]
    [InlineData("""{"eos_token_id": [1, "x"]}""", "'eos_token_id'")]
    [InlineData("""{"sampler_config": 3}""", "'sampler_config' is 3")]
    [InlineData("""{"sampler_config": {"_cls_name": "TopKSamplerConfig"}}""", "the _cls_name 'TopKSamplerConfig', which is not supported")]
    [InlineData("""{"sampler_config": {"entropy_bound": 0.1}}""", "the _cls_name '', which is not supported")]
    public void A_file_that_says_something_else_is_named(string json, string message)
    {
        string got = Assert.Throws<InvalidDataException>(() => Resolve(json)).Message;
        Assert.Contains("generation_config.json", got, StringComparison.Ordinal);
        Assert.Contains(message, got, StringComparison.Ordinal);
    }

    /// <summary>A value out of range is the file's fault where the caller did not choose it.</summary>
    [Theory]
    [InlineData("max_new_tokens", "0")]
    [InlineData("max_denoising_steps", "-1")]
    [InlineData("t_min", "-0.1")]
    [InlineData("t_min", "0.9")]                                                                 // above the default of t_max
    [InlineData("t_max", "0.1")]
    [InlineData("t_max", "1e400")]
    [InlineData("top_k", "-1")]
    [InlineData("top_p", "0")]
    [InlineData("stability_threshold", "-1")]
    [InlineData("eos_token_id", "[1, 128]")]
    [InlineData("pad_token_id", "128")]
    public void A_value_of_the_file_that_is_out_of_range_is_named_with_it(string key, string value)
    {
        string message = Assert.Throws<InvalidDataException>(() => Resolve($$"""{"{{key}}": {{value}}}""")).Message;
        Assert.Contains($"generation_config.json: '{key}' is {value.Replace(" ", "")}; it must", message, StringComparison.Ordinal);
        string bound = Assert.Throws<InvalidDataException>(() => Resolve(
            """{"sampler_config": {"_cls_name": "EntropyBoundSamplerConfig", "entropy_bound": -1}}""")).Message;
        Assert.Contains("generation_config.json: 'entropy_bound' is -1; it must not be negative", bound, StringComparison.Ordinal);
    }

    [Fact]
    public void What_the_caller_chose_is_the_callers_fault()
    {
        using TemporaryFolder folder = Fixtures.Temporary();
        File.WriteAllText(folder.File("generation_config.json"), """{"max_new_tokens": 16, "t_max": 0.8}""");
        foreach (GenerationOptions options in (GenerationOptions[])[new() { MaxNewTokens = 0 }, new() { TMin = 0.9 }])
            Assert.Throws<ArgumentOutOfRangeException>(() => ResolvedGenerationOptions.Resolve(options, folder.Path, Config));
    }

    private static ResolvedGenerationOptions Resolve(string? json)
    {
        using TemporaryFolder folder = Fixtures.Temporary();
        if (json is not null) File.WriteAllText(folder.File("generation_config.json"), json);
        return ResolvedGenerationOptions.Resolve(null, folder.Path, Config);
    }

    /// <summary>Resolved options are complete, and resolve to themselves, under either sampler.</summary>
    [Theory]
    [InlineData(CanvasSampler.EntropyBound)]
    [InlineData(CanvasSampler.BlockRefinement)]
    public void Public_options_resolve_to_the_folders_values(CanvasSampler sampler)
    {
        string folder = Fixtures.Checkpoint("tiny-2layer");
        GenerationOptions given = new() { Sampler = sampler, TopK = 7 };
        GenerationOptions resolved = given.Resolve(folder);
        ResolvedGenerationOptions expected = ResolvedGenerationOptions.Resolve(given, folder, Config);
        Assert.Equal((7, expected.MaxNewTokens, expected.Seed), (resolved.TopK, resolved.MaxNewTokens, resolved.Seed));
        Assert.Equal(expected.EosTokenIds, resolved.EosTokenIds!);
        Assert.Equal(sampler == CanvasSampler.EntropyBound ? expected.EntropyBound : null, resolved.EntropyBound);
        Assert.Equal(sampler == CanvasSampler.BlockRefinement ? expected.CommitThreshold : null, resolved.CommitThreshold);
        Assert.Equal(resolved, resolved.Resolve(folder));
        Assert.Throws<ArgumentOutOfRangeException>(() => new GenerationOptions { TopK = -1 }.Resolve(folder));
    }
}
