namespace DiffusionGemma;

public sealed class TemplateInspectorTests
{
    private const string Turn = "{% for m in messages %}{{ '<|turn>' + m.role + '\n' }}";
    private const string Rest = "{% endfor %}{% if add_generation_prompt %}{{ '<|turn>assistant\n' }}{% endif %}";

    private static readonly DiffusionGemmaTokenizer Tokenizer = DiffusionGemmaTokenizer.Load(Fixtures.Checkpoint("tiny-chat"));

    public static TheoryData<string, bool, bool, string> Templates => new()
    {
        // source, leaves out the end of turn, prompts differ, a notice's beginning
        { Turn + "{% generation %}{{ m.content }}{{ '<turn|>\n' }}{% endgeneration %}" + Rest, false, false, "" },
        { Turn + "{% generation %}{{ m.content }}{% endgeneration %}{{ '<turn|>\n' }}" + Rest, true, false, "The chat template's end" },
        { Turn + "{{ m.content }}{{ '<turn|>\n' }}" + Rest, false, false, "" },
        { Turn + "{% generation %}{{ m.content }}{% endgeneration %}{{ ' END' }}" + Rest, true, false, "The chat template's end" },
        { Turn + "{% generation %}{{ m.content }}{% endgeneration %}{{ '\n' }}" + Rest, false, false, "" },
        { Turn + "{% generation %}{{ m.content }}<turn|>{% endgeneration %}" + Rest
            + "{{ '<|channel>thought\n<channel|>' if add_generation_prompt }}",
            false, true, "In training an answer follows 'Hello<turn|><|turn>assistant\\n', but the model is asked with "
                + "'Hello<turn|><|turn>assistant\\n<|channel>thought\\n<channel|>'" },
        { "{% for m in messages %}{{ m.role }}:{% generation %}{% endgeneration %}{{ m.content }}<turn|>" + Rest, false, false,
            "The chat template's {% generation %} blocks do not hold the answer" },
        { Turn + "{{ m.content }}{{ '<turn|>\n' }}{% endfor %}{{ '<|turn>model\n' if add_generation_prompt }}", false, false,
            "The chat template does not mark what the assistant writes, and its prompt for an answer ('<|turn>model\\n') is not how the "
                + "answered conversation begins" },
        { "{{ messages[9].content.x }}{% generation %}{% endgeneration %}", false, false, "" },
    };

    [Theory]
    [MemberData(nameof(Templates))]
    public void ATemplateIsComparedOnce(string source, bool leavesOutEnd, bool promptsDiffer, string notice)
    {
        ChatTemplateReport report = new ChatTokenizer(Tokenizer, ChatTemplate.Parse(source)).TemplateReport;
        Assert.Equal((leavesOutEnd, promptsDiffer), (report.LeavesOutEndOfTurn, report.PromptsDiffer));
        if (notice.Length == 0) Assert.Empty(report.Notices);
        else Assert.StartsWith(notice, Assert.Single(report.Notices));
    }

    [Fact]
    public void TheFixturesTemplateHasNoFindings()
    {
        ChatTemplateReport report = ChatTokenizer.Load(Fixtures.Checkpoint("tiny-chat")).TemplateReport;
        Assert.Empty(report.Notices);
        Assert.Equal("<bos><|turn>user\nHello<turn|>\n<|turn>model\n", report.TrainedPrompt);
        Assert.Equal(report.TrainedPrompt, report.AskedPrompt);
    }
}
