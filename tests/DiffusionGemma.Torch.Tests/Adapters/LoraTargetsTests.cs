using System.Text.RegularExpressions;
using CsCheck;

namespace DiffusionGemma;

public class LoraTargetsTests
{
    private static readonly string[] Modules = ReadModules();
    private static readonly string[] Projections =
    [
        .. Modules.Where(m => Regex.IsMatch(m, @"^model\.decoder\.layers\.\d+\.(self_attn|mlp)\.\w+_proj$")),
    ];

    /// <summary>Every module name of transformers' model: the checkpoint's, and the encoder's twins of the decoder's layers.</summary>
    private static readonly string[] TransformersModules =
    [
        .. Modules,
        .. Modules.Where(m => m.StartsWith("model.decoder.", StringComparison.Ordinal)).Select(m => PeftFolder.ModuleName(Pass.Encoder, m)),
    ];

    [Theory]
    [InlineData("q_proj", 6)]
    [InlineData("v_proj", 5)]                                                                   // the full-attention layer has none
    [InlineData("self_attn.q_proj", 6)]
    [InlineData("mlp.down_proj", 6)]
    [InlineData("layers.5.self_attn.k_proj", 1)]
    [InlineData("*layers.3.mlp.*", 3)]
    [InlineData("*.self_attn.*", 23)]
    [InlineData("*", 41)]
    public void A_target_names_last_parts_or_a_pattern(string target, int count) =>
        Assert.Equal(count, LoraTargets.Match([target], Projections).Count);

    [Theory]
    [InlineData("proj")]                                                                        // part of a part
    [InlineData("q_prj")]
    [InlineData("v.proj")]                                                                      // a dot is a dot
    [InlineData("*layers.6.*")]
    [InlineData("experts.down_proj")]
    [InlineData("")]
    public void A_target_that_matches_nothing_is_an_error_that_lists_what_there_is(string target)
    {
        string message = Assert.Throws<ArgumentException>(() => LoraTargets.Match(["q_proj", target], Projections)).Message;
        Assert.Contains($"'{target}'", message, StringComparison.Ordinal);
        foreach (char letter in "qkvo") Assert.Contains($"self_attn.{letter}_proj", message, StringComparison.Ordinal);
        foreach (string name in new[] { "gate", "up", "down" }) Assert.Contains($"mlp.{name}_proj", message, StringComparison.Ordinal);
    }

    [Fact]
    public void Options_out_of_range_are_named()
    {
        static void Refused(LoraOptions options, string name) =>
            Assert.Contains(name, Assert.ThrowsAny<ArgumentException>(options.Validate).Message, StringComparison.Ordinal);
        Refused(new LoraOptions { Rank = 0 }, "LoraOptions.Rank");
        Refused(new LoraOptions { Alpha = 0 }, "LoraOptions.Alpha");
        Refused(new LoraOptions { Alpha = double.NaN }, "LoraOptions.Alpha");
        Refused(new LoraOptions { Dropout = 1 }, "LoraOptions.Dropout");
        Refused(new LoraOptions { Dropout = -0.1 }, "LoraOptions.Dropout");
        Refused(new LoraOptions { Targets = [] }, "LoraOptions.Targets");
        Refused(new LoraOptions { Experts = true, ExpertRank = 0 }, "LoraOptions.ExpertRank");
        Refused(new LoraOptions { Experts = true, ExpertAlpha = -1 }, "LoraOptions.ExpertAlpha");
        Refused(new LoraOptions { ExpertRank = 4 }, "set Experts");
        new LoraOptions { Targets = [], Experts = true }.Validate();
        new LoraOptions { Targets = [], SelfConditioning = true }.Validate();
    }

    /// <summary>
    /// PEFT takes the expression with re.fullmatch; it must hit the adapted modules of the pass or passes and no other, the vision tower's
    /// least of all.
    /// </summary>
    [Fact]
    public void The_pattern_for_PEFT_hits_the_adapted_modules_and_nothing_else()
    {
        string[] conditioning = [.. Modules.Where(m => Regex.IsMatch(m, @"^model\.decoder\.self_conditioning\.\w+_proj$"))];
        Assert.Equal(3, conditioning.Length);
        var choice = Gen.Select(Gen.Bool.Array[Projections.Length], Gen.Bool, Gen.Bool.Array[7], Gen.Bool, Gen.Bool.Array[3]);
        Property.Holds(choice, 300, drawn =>
        {
            (bool[] byModule, bool byKind, bool[] kinds, bool bothPasses, bool[] conditioned) = drawn;
            string[] allKinds = [.. Projections.Select(LoraTargets.Suffix).Distinct()];
            string[] adapted =
            [
                .. Projections.Where((m, i) => byKind ? kinds[Array.IndexOf(allKinds, LoraTargets.Suffix(m))] : byModule[i]),
            ];
            string[] own = [.. conditioning.Where((_, i) => conditioned[i])];
            if (adapted.Length + own.Length == 0) return;
            var pattern = new Regex(
                $"^(?:{LoraTargets.PeftPattern([.. adapted, .. own], Projections, bothPasses)})$", RegexOptions.CultureInvariant);
            IEnumerable<string> expected = bothPasses
                ? adapted.Concat(adapted.Select(m => PeftFolder.ModuleName(Pass.Encoder, m)))
                : adapted;
            Assert.Equal(expected.Concat(own).Order(), TransformersModules.Where(m => pattern.IsMatch(m)).Order());
        });
    }

    private static string[] ReadModules()
    {
        using SafetensorsFile checkpoint = SafetensorsFile.Open(Fixtures.Checkpoint("tiny-6layer"));
        static string Module(string name) => name.EndsWith(".weight", StringComparison.Ordinal) ? name[..^".weight".Length] : name;
        return [.. checkpoint.Tensors.Keys.Select(Module)];
    }
}
