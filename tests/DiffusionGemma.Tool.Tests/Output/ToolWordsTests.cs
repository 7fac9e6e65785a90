using System.Text.RegularExpressions;

namespace DiffusionGemma.Output;

/// <summary>Messages of the library in the tool's words.</summary>
public sealed partial class ToolWordsTests
{
    /// <summary>Options that no key of a recipe and no option of a command sets, so that no user of the tool reads of them.</summary>
    private static readonly string[] OutOfReach = ["FineTuneOptions.Run.MemoryBudget", "FineTuneOptions.Checkpoints.AcceptChanged"];

    [Theory]
    [InlineData("12 rows do not fill one global batch of 100: lower FineTuneOptions.GlobalBatchSize or give more rows.",
        "12 rows do not fill one global batch of 100: lower step_scheduler.global_batch_size or give more rows.")]
    [InlineData("a.jsonl, line 1: this is a parquet file: load it by LoadChatFromParquet, or name it .parquet",
        "a.jsonl, line 1: this is a parquet file: name it .parquet")]
    [InlineData("Set it back, or name what may differ in FineTuneOptions.Checkpoints.AcceptChanged.",
        "Set it back, or name another checkpoint.checkpoint_dir.")]
    [InlineData("step 3 of FineTuneOptions.Checkpoints.Resume", "step 3 of checkpoint.restore_from")]
    [InlineData("Wait for it or stop it, or name another folder in FineTuneOptions.Checkpoints.",
        "Wait for it or stop it, or name another checkpoint.checkpoint_dir.")]
    [InlineData("step-000003 cannot be resumed: Steps was 3 and is 4 now; Lora was rank 4 and is rank 8 now.",
        "step-000003 cannot be resumed: step_scheduler.max_steps was 3 and is 4 now; peft was rank 4 and is rank 8 now.")]
    [InlineData("no word of the library", "no word of the library")]
    public void Options_and_methods_become_keys_and_options(string library, string tool) => Assert.Equal(tool, ToolWords.Of(library));

    /// <summary>A message that names an option is one that a user of the tool may read: each has a counterpart.</summary>
    [Fact]
    public void Every_option_of_training_that_a_message_names_has_a_counterpart()
    {
        string[] named =
        [
            .. new[] { "Torch", "MLNet" }
                .SelectMany(project => Directory.EnumerateFiles(
                    Path.Combine(Fixtures.Root, "src", $"DiffusionGemma.{project}"), "*.cs", SearchOption.AllDirectories))
                .SelectMany(File.ReadLines)
                .Where(line => !line.Contains("///", StringComparison.Ordinal))
                .SelectMany(line => Literal().Matches(line)).SelectMany(literal => Option().Matches(literal.Value))
                .Select(option => option.Value).Distinct().Except(OutOfReach),
        ];
        Assert.True(named.Length > 10, "The messages were not found.");
        Assert.All(named, option => Assert.DoesNotContain("Options", ToolWords.Of(option), StringComparison.Ordinal));
    }

    [GeneratedRegex("\"[^\"]*\"")]
    private static partial Regex Literal();

    [GeneratedRegex(@"\bFineTuneOptions(\.[A-Z]\w*)+")]
    private static partial Regex Option();
}
