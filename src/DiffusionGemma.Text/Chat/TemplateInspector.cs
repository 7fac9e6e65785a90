namespace DiffusionGemma;

/// <summary>Finds out what <see cref="ChatTemplateReport"/> says, by rendering a plain question and answer.</summary>
internal sealed class TemplateInspector(ChatTemplate template, DiffusionGemmaTokenizer tokenizer)
{
    private const string Answer = "\uFDD0";         // never a character of a text, so that it is found again
    private const int LongestExcerpt = 80;

    public ChatTemplateReport Inspect()
    {
        ChatConversation question = ChatConversation.Of(("user", "Hello"));
        RenderedChat? answered = TryRender(question.WithAnswer(Answer), addGenerationPrompt: false);
        string? asked = TryRender(question, addGenerationPrompt: true)?.Text;
        int place = answered?.Text.LastIndexOf(Answer, StringComparison.Ordinal) ?? -1;
        if (answered is null || place < 0) return new ChatTemplateReport { AskedPrompt = asked };
        if (!template.HasGenerationBlocks)
            return Unmarked(answered.Text, asked);

        List<string> notices = [];
        TextSpan span = answered.GeneratedSpans.FirstOrDefault(span => span.Start <= place && place < span.End);
        if (span.Length == 0)
        {
            const string Unlearned = "The chat template's {% generation %} blocks do not hold the answer: nothing of it would be learned.";
            return new ChatTemplateReport { AskedPrompt = asked, UnlearnedAnswer = Unlearned, Notices = [Unlearned] };
        }
        ChatTemplateReport report = new()
        {
            AskedPrompt = asked,
            TrainedPrompt = answered.Text[..span.Start],
            LeavesOutEndOfTurn = EndOfTurn(answered.Text, place + Answer.Length) is { } end
                && !answered.GeneratedSpans.Any(generated => generated.Overlaps(end)),
            Notices = notices,
        };
        if (report.LeavesOutEndOfTurn)
            notices.Add("The chat template's end of turn is outside {% generation %}: the model will not learn to end its turn.");
        if (report.PromptsDiffer)
        {
            (string trained, string askedEnd) = Ends(report.TrainedPrompt!, asked!);
            string notice = $"In training an answer follows '{trained}', but the model is asked with '{askedEnd}': "
                + $"{nameof(ChatTokenizerOptions.TrainOnGenerationPrompt)} trains on the prompt that it is asked with.";
            notices.Add(notice);
            report = report with { PromptNotice = notice };
        }
        return report;
    }

    /// <summary>A template without marks: training begins behind the prompt, which must be how the answered conversation begins.</summary>
    private static ChatTemplateReport Unmarked(string answered, string? asked)
    {
        bool isPrefix = asked is not null && answered.StartsWith(asked, StringComparison.Ordinal);
        if (asked is null || isPrefix) return new ChatTemplateReport { AskedPrompt = asked, TrainedPrompt = asked };
        (string written, string askedEnd) = Ends(answered, asked);
        string refused = $"The chat template does not mark what the assistant writes, and its prompt for an answer ('{askedEnd}') is not "
            + $"how the answered conversation begins ('{written}'): answered rows are refused. A copy of the template with "
            + "{% generation %} tags around the assistant's text and end of turn, given as chatTemplate, is the way out.";
        return new ChatTemplateReport { AskedPrompt = asked, RefusedAnswers = refused, Notices = [refused] };
    }

    private RenderedChat? TryRender(ChatConversation conversation, bool addGenerationPrompt)
    {
        try
        {
            return new ConversationRenderer(template, addGenerationPrompt).Render(conversation);
        }
        catch (ChatException)
        {
            return null;
        }
    }

    /// <summary>
    /// The first special token behind the answer, or else its first character that is no space; null where nothing follows.
    /// </summary>
    private TextSpan? EndOfTurn(string text, int from)
    {
        (int[] ids, TextSpan[] spans) = tokenizer.EncodeWithSpans(text.AsSpan(from));
        int special = Array.FindIndex(ids, tokenizer.IsSpecial);
        if (special >= 0) return new TextSpan(from + spans[special].Start, from + spans[special].End);
        int letter = from;
        while (letter < text.Length && char.IsWhiteSpace(text[letter])) letter++;
        return letter < text.Length ? new TextSpan(letter, letter + 1) : null;
    }

    /// <summary>Place where the two differ, from the beginning of the line before.</summary>
    private static (string Trained, string Asked) Ends(string trained, string asked)
    {
        int common = trained.AsSpan().CommonPrefixLength(asked);
        int from = common < 2 ? 0 : trained.LastIndexOf('\n', common - 2) + 1;
        return (Excerpt(trained[from..]), Excerpt(asked[from..]));
    }

    private static string Excerpt(string text) =>
        (text.Length <= LongestExcerpt ? text : $"{text[..LongestExcerpt]}...").Replace("\n", "\\n", StringComparison.Ordinal);
}
