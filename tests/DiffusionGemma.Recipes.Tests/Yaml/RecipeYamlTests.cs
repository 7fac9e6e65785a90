using System.Globalization;
using System.Text;

namespace DiffusionGemma.Yaml;

public class RecipeYamlTests
{
    [Theory]
    [InlineData("8", 8)]
    [InlineData("1_000", 1000)]
    [InlineData("0x10", 16)]
    [InlineData("0o17", 15)]
    [InlineData("017", 15)]
    [InlineData("0b101", 5)]
    [InlineData("-3", -3)]
    [InlineData("1e-5", 1e-5)]                  // a text to PyYAML, and a number to AutoModel
    [InlineData("1.0e-8", 1e-8)]
    [InlineData("1E3", 1000)]
    [InlineData(".5", 0.5)]
    [InlineData("5.", 5)]
    [InlineData("1_0.5", 10.5)]
    [InlineData(".inf", double.PositiveInfinity)]
    public void Numbers_are_read_as_the_reference_reads_them(string text, double value) =>
        Assert.Equal(value, RecipeScalar.ToDouble(text));

    [Theory]
    [InlineData("fast")]
    [InlineData("1e")]
    [InlineData("")]
    [InlineData("1 2")]
    [InlineData("0x")]
    [InlineData("١")]
    [InlineData("1e5e5")]
    [InlineData("02:00:00")]
    public void What_is_no_number_is_none(string text) => Assert.Null(RecipeScalar.ToDouble(text));

    [Fact]
    public void A_long_run_of_digits_is_no_number() => Assert.Null(RecipeScalar.ToDouble(new string('9', 100_000)));

    [Theory]
    [InlineData("yes", true)]
    [InlineData("Off", false)]
    [InlineData("True", true)]
    [InlineData("'false'", false)]
    [InlineData("'yes'", null)]
    [InlineData("1", null)]
    public void Truth_values_are_those_of_YAML_1_1(string text, bool? value) => Assert.Equal(value, RecipeScalar.ToBoolean(Value(text)));

    [Theory]
    [InlineData("", true)]
    [InlineData("~", true)]
    [InlineData("null", true)]
    [InlineData("none", true)]
    [InlineData("'None'", true)]
    [InlineData("'null'", false)]
    [InlineData("[]", false)]
    public void Nothing_is_written_in_many_ways(string text, bool isNull) => Assert.Equal(isNull, RecipeScalar.IsNull(Value(text)));

    [Fact]
    public void An_alias_and_a_merge_stand_for_what_they_name()
    {
        RecipeNode root = Read("""
            base: &base {a: 1, b: 2}
            same: *base
            merged:
              <<: *base
              b: 3
            """, out _);
        Assert.Same(root.Find("base"), root.Find("same"));
        RecipeNode merged = root.Find("merged")!;
        Assert.Equal(("1", "3"), (merged.Find("a")!.Text, merged.Find("b")!.Text));
    }

    [Fact]
    public void A_billion_laughs_cost_nothing()
    {
        var text = new StringBuilder("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
        for (int i = 1; i < 200; i++)
        {
            string items = string.Join(", ", Enumerable.Repeat($"*a{i - 1}", 10));
            text.Append(CultureInfo.InvariantCulture, $"a{i}: &a{i} [{items}]\n");
        }
        RecipeNode root = Read(text.ToString(), out List<RecipeFault> faults);
        Assert.Empty(faults);
        Assert.Equal(10, root.Find("a199")!.Items.Count);
    }

    public static TheoryData<string, string> Faults => new()
    {
        { "", "the file is empty" },
        { "# only a comment", "the file is empty" },
        { "[1, 2]", "a section of keys" },
        { "a: [1, 2", "this is no YAML" },
        { "a: 1\n b: 2", "this is no YAML" },
        { "a: \t- x\n\t- y", "this is no YAML" },
        { "a: 1\n---\nb: 2", "a second one begins here" },
        { "a: 1\na: 2", "a second time" },
        { "? [x]\n: 1", "a key is a word" },
        { "a: *nothing", "stands for nothing" },
        { "a: &self [*self]", "stands for nothing" },
        { "a: !!python/object/apply:os.system ['rm']", "is not supported" },
        { "a: !mine 1", "is not supported" },
        { "a:\n  <<: 3", "only sections can be merged" },
        { new string('[', 5000) + new string(']', 5000), "nested more than 32 deep" },
        { "a: " + string.Concat(Enumerable.Repeat("{a: ", 100)), "nested more than 32 deep" },
        { "a: [" + string.Concat(Enumerable.Repeat("x,", 30_000)) + "]", "more than 20000 values" },
    };

    [Theory]
    [MemberData(nameof(Faults))]
    public void What_cannot_be_read_is_a_fault(string text, string words)
    {
        List<RecipeFault> faults = [];
        RecipeYaml.Read(text, faults);
        Assert.Contains(words, Assert.Single(faults).ToString());
    }

    private static RecipeNode Value(string text) => Read($"a: {text}", out _).Find("a")!;

    private static RecipeNode Read(string text, out List<RecipeFault> faults)
    {
        faults = [];
        RecipeNode? root = RecipeYaml.Read(text, faults);
        Assert.NotNull(root);
        return root;
    }
}
