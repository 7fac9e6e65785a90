namespace DiffusionGemma.Pipeline;

/// <summary>All faults of one options object stand in one error.</summary>
public sealed class OptionFaultTests
{
    [Fact]
    public void Options_of_data_name_every_fault_of_a_combination()
    {
        var options = new ChatDataOptions
        {
            AnswerColumn = "answer",
            SystemPrompt = "Be brief.",
            ChatTemplate = "own.jinja",
            MaxErrors = -1,
        };
        string message = Assert.Throws<ArgumentException>(options.Validate).Message;
        Assert.StartsWith("4 options are at fault:", message, StringComparison.Ordinal);
        foreach (string option in (string[])["AnswerColumn", "SystemPrompt", "ChatTemplate", "MaxErrors"])
            Assert.Contains(option, message, StringComparison.Ordinal);
    }

    [Fact]
    public void Options_of_training_rows_name_every_fault()
    {
        var options = new TrainingRowOptions { MaxRowBytesInMemory = -1, LossMaskColumnName = "", NotesColumnName = "" };
        string message = Assert.Throws<ArgumentException>(options.Validate).Message;
        Assert.StartsWith("3 options are at fault:", message, StringComparison.Ordinal);
        foreach (string option in (string[])["MaxRowBytesInMemory", "LossMaskColumnName", "NotesColumnName"])
            Assert.Contains($"TrainingRowOptions.{option}", message, StringComparison.Ordinal);
        new TrainingRowOptions().Validate();
    }
}
