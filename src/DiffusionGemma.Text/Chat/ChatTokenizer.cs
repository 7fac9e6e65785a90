namespace DiffusionGemma;

/// <summary>
/// A checkpoint's tokenizer and chat template together: conversations to ids and to a mask of what the assistant wrote.
/// The text is always encoded whole, because tokens merge across the seam of two pieces. One instance may be used by many threads.
/// </summary>
public sealed class ChatTokenizer
{
    private readonly ChatTokenizerOptions _options;
    private readonly SpecialTextEscape _special;
    private readonly Lazy<ChatTemplateReport> _report;

    /// <summary>Puts the two together.</summary>
    /// <param name="tokenizer">The checkpoint's tokenizer.</param>
    /// <param name="template">The checkpoint's chat template.</param>
    /// <param name="options">Null: as transformers does.</param>
    public ChatTokenizer(DiffusionGemmaTokenizer tokenizer, ChatTemplate template, ChatTokenizerOptions? options = null)
    {
        ArgumentNullException.ThrowIfNull(tokenizer);
        ArgumentNullException.ThrowIfNull(template);
        (Tokenizer, Template, _options) = (tokenizer, template, options ?? new ChatTokenizerOptions());
        _special = new SpecialTextEscape(tokenizer.AddedTokens, onlyUserText: !_options.EscapeSpecialTokens);
        _report = new Lazy<ChatTemplateReport>(() => new TemplateInspector(template, tokenizer).Inspect());
    }

    /// <summary>The checkpoint's tokenizer.</summary>
    public DiffusionGemmaTokenizer Tokenizer { get; }

    /// <summary>The checkpoint's chat template.</summary>
    public ChatTemplate Template { get; }

    /// <summary>Options that it was made with.</summary>
    public ChatTokenizerOptions Options => _options;

    /// <summary>
    /// The tokenizer's notices, and what the two lack together: a template that writes bos_token where tokenizer_config.json names none,
    /// so that prompts begin without it, as in Jinja2. Usually none.
    /// </summary>
    public IReadOnlyList<string> Notices =>
        Tokenizer.BosId is null && Template.Source.Contains("bos_token", StringComparison.Ordinal)
            ? [.. Tokenizer.Notices, "The chat template writes bos_token, and no tokenizer_config.json names it: prompts begin without it. "
                + "Add it there."] : Tokenizer.Notices;

    /// <summary>Findings about the template that do not depend on any row; made at the first use.</summary>
    public ChatTemplateReport TemplateReport => _report.Value;

    /// <summary>Reads both from a checkpoint's folder.</summary>
    /// <exception cref="FileNotFoundException">A file is missing; the message names it.</exception>
    /// <exception cref="InvalidDataException">A file is broken or holds something that is not supported.</exception>
    /// <exception cref="ChatException">The template cannot be read; the message has the line.</exception>
    public static ChatTokenizer Load(string folder) => Load(folder, new ChatTokenizerOptions());

    /// <summary>Reads both from a checkpoint's folder.</summary>
    /// <inheritdoc cref="Load(string)" path="/exception"/>
    public static ChatTokenizer Load(string folder, ChatTokenizerOptions options) =>
        new(DiffusionGemmaTokenizer.Load(folder), ChatTemplate.Load(folder), options);

    /// <summary>Reads the tokenizer from a checkpoint's folder, and a chat template of one's own from a file.</summary>
    /// <param name="folder">The checkpoint's folder.</param>
    /// <param name="chatTemplate">The template's file; null: the checkpoint's own.</param>
    /// <param name="options">Null: as transformers does.</param>
    /// <inheritdoc cref="Load(string)" path="/exception"/>
    public static ChatTokenizer Load(string folder, string? chatTemplate, ChatTokenizerOptions? options = null) =>
        new(DiffusionGemmaTokenizer.Load(folder),
            chatTemplate is null ? ChatTemplate.Load(folder) : ChatTemplate.LoadFile(folder, chatTemplate), options);

    /// <summary>Reads a conversation (<see cref="ChatConversation.Parse"/>) and encodes it.</summary>
    /// <exception cref="ChatException">The row is malformed, or the template refuses it.</exception>
    public TokenizedChat Encode(string json) => Encode(ChatConversation.Parse(json));

    /// <summary>
    /// Ids of the whole conversation. When it is answered, the mask holds what the assistant wrote: what the template's
    /// <c>{% generation %}</c> blocks cover, or, without such blocks, everything after the last answer's generation prompt.
    /// When it waits for an answer, the generation prompt is appended and the mask is all false.
    /// </summary>
    /// <exception cref="ChatException">
    /// The template refuses the conversation, or has no generation blocks and its generation prompt does not begin the answered
    /// conversation.
    /// </exception>
    public TokenizedChat Encode(ChatConversation conversation)
    {
        ArgumentNullException.ThrowIfNull(conversation);
        if (!conversation.IsAnswered)
        {
            int[] prompt = RenderAndEncode(conversation, WithGenerationPrompt).Ids;
            return new TokenizedChat(prompt, new bool[prompt.Length]);
        }
        bool hasBlocks = Template.For(conversation).HasGenerationBlocks;
        (RenderedChat chat, int[] ids, TextSpan[] spans) = RenderAndEncode(
            conversation, hasBlocks && _options.TrainOnGenerationPrompt ? BehindGenerationPrompt : AsWritten);
        bool[] mask = hasBlocks ? MaskOf(spans, chat.GeneratedSpans) : MaskAfterPrompt(conversation, chat.Text, ids);
        new ReasoningMask(Tokenizer, _options.Reasoning).Apply(ids, mask);
        return new TokenizedChat(ids, mask);
    }

    /// <summary>
    /// True if the last message is the assistant's, and nothing of it is an answer: its content is blank, or control tokens and thoughts
    /// alone, and it calls no tool, or none that the template writes.
    /// </summary>
    /// <exception cref="ChatException">The template refuses the conversation, or fails.</exception>
    public bool HasBlankAnswer(ChatConversation conversation)
    {
        ArgumentNullException.ThrowIfNull(conversation);
        if (!conversation.IsAnswered) return false;
        bool isBlank = string.IsNullOrWhiteSpace(conversation.Answer);
        if (!isBlank && !_options.EscapeSpecialTokens && Tokenizer.HoldsSpecialToken(conversation.Answer!))
        {
            ParsedAnswer answer = ParsedAnswer.Parse(Tokenizer, conversation.Answer!);
            isBlank = string.IsNullOrWhiteSpace(answer.Text) && answer.ToolCalls.Count + answer.MalformedToolCalls.Count == 0;
        }
        return isBlank && !(conversation.AnswersWithCalls && WritesCalls(conversation));
    }

    /// <summary>
    /// Finds the special tokens whose text the row holds, in messages, tools or template arguments: they become control tokens, unless they
    /// are escaped.
    /// </summary>
    public IReadOnlyList<string> FindSpecialTokens(ChatConversation conversation)
    {
        ArgumentNullException.ThrowIfNull(conversation);
        return _special.FindSpecialTexts(conversation);
    }

    /// <summary>
    /// Reads the answer that a conversation ends with as the model's own answers are read: its content, and the reasoning and tool calls
    /// that the message has beside it. Null where it waits for an answer.
    /// </summary>
    public ParsedAnswer? ParseAnswer(ChatConversation conversation)
    {
        ArgumentNullException.ThrowIfNull(conversation);
        return conversation.IsAnswered ? ExpectedAnswer.Read(Tokenizer, conversation) : null;
    }

    /// <summary>Ids of the prompt alone: an answered conversation without its answer, and the generation prompt.</summary>
    /// <exception cref="ChatException">The template refuses the conversation.</exception>
    public int[] EncodePrompt(ChatConversation conversation)
    {
        ArgumentNullException.ThrowIfNull(conversation);
        ChatConversation prompt = conversation.IsAnswered ? conversation.WithoutLast() : conversation;
        return RenderAndEncode(prompt, WithGenerationPrompt).Ids;
    }

    /// <summary>
    /// Ids of what the template writes behind the assistant's answer, such as &lt;turn|&gt; ⏎; empty where it writes nothing, or changes
    /// the answer.
    /// </summary>
    /// <param name="conversation">One that waits for an answer.</param>
    /// <exception cref="ChatException">The template refuses the answered conversation.</exception>
    public int[] EncodeAnswerEnd(ChatConversation conversation)
    {
        ArgumentNullException.ThrowIfNull(conversation);
        const string Answer = "\uFDD0";                             // never a character of a text, so that it is found again
        string text = Template.Render(conversation.WithAnswer(Answer), addGenerationPrompt: false).Text;
        int at = text.LastIndexOf(Answer, StringComparison.Ordinal);
        return at < 0 ? [] : [.. Tokenizer.EncodeToIds(text[(at + Answer.Length)..])];
    }

    private (RenderedChat Chat, int[] Ids, TextSpan[] Spans) RenderAndEncode(
        ChatConversation conversation, Func<ChatConversation, RenderedChat> render)
    {
        RenderedChat chat = render(conversation);
        HashSet<int>? barred = _options.EscapeSpecialTokens || _options.EscapeUserText
            ? _special.FindBarred(conversation, chat.Text, Template.For(conversation).Source, marked => render(marked).Text)
            : null;
        (int[] ids, TextSpan[] spans) = Tokenizer.EncodeWithSpans(chat.Text, barred);
        return (chat, ids, spans);
    }

    /// <summary>True if the template writes the tool calls of the last message.</summary>
    private bool WritesCalls(ChatConversation conversation)
    {
        string text = AsWritten(conversation).Text;
        try
        {
            return AsWritten(conversation.WithoutLastCalls()).Text != text;
        }
        catch (ChatException)
        {
            return true;            // the template asks for them
        }
    }

    private RenderedChat AsWritten(ChatConversation conversation) => Template.Render(conversation, addGenerationPrompt: false);

    private RenderedChat WithGenerationPrompt(ChatConversation conversation) => Template.Render(conversation, addGenerationPrompt: true);

    /// <summary>
    /// The last answer, as the template writes it, behind the prompt that it is asked with:
    /// <code>
    /// written   ...&lt;|turn>model\n                              Yes.&lt;turn|>
    /// asked     ...&lt;|turn>model\n&lt;|channel>thought\n&lt;channel|>
    /// result    ...&lt;|turn>model\n&lt;|channel>thought\n&lt;channel|>Yes.&lt;turn|>
    /// </code>
    /// </summary>
    private RenderedChat BehindGenerationPrompt(ChatConversation conversation)
    {
        RenderedChat written = AsWritten(conversation);
        if (conversation.MessageCount < 2) return written;
        string asked = WithGenerationPrompt(conversation.WithoutLast()).Text;
        int common = written.Text.AsSpan().CommonPrefixLength(asked);
        int first = written.GeneratedSpans.TakeWhile(span => span.Length == 0 || span.End <= common).Count();
        if (first == written.GeneratedSpans.Count) return written;
        int start = written.GeneratedSpans[first].Start;
        string answer = written.Text[start..];
        if (answer.AsSpan().TrimStart().StartsWith(ControlTokens.ChannelOpen)) return written;
        int moved = asked.Length - start;
        return new RenderedChat(asked + answer, [
            .. written.GeneratedSpans.Take(first),
            .. written.GeneratedSpans.Skip(first).Select(span => new TextSpan(span.Start + moved, span.End + moved))]);
    }

    /// <summary>Both lists are in order of the text, so one walk finds which tokens overlap a generated span.</summary>
    private static bool[] MaskOf(TextSpan[] tokens, IReadOnlyList<TextSpan> generated)
    {
        bool[] mask = new bool[tokens.Length];
        int next = 0;
        for (int i = 0; i < tokens.Length; i++)
        {
            while (next < generated.Count && (generated[next].Length == 0 || generated[next].End <= tokens[i].Start))
                next++;
            mask[i] = next < generated.Count && tokens[i].Overlaps(generated[next]);
        }
        return mask;
    }

    private bool[] MaskAfterPrompt(ChatConversation conversation, string text, int[] ids)
    {
        (RenderedChat prompt, int[] promptIds, _) = RenderAndEncode(conversation.WithoutLast(), WithGenerationPrompt);
        if (!text.StartsWith(prompt.Text, StringComparison.Ordinal))
            throw NoSeam("the text of its prompt does not begin the text of the conversation");
        if (!ids.AsSpan().StartsWith(promptIds))
            throw NoSeam("a token reaches across the end of the prompt");
        bool[] mask = new bool[ids.Length];
        mask.AsSpan(promptIds.Length).Fill(true);
        return mask;
    }

    private static ChatException NoSeam(string reason) => new(
        $"What the assistant wrote cannot be told from its prompt: {reason}. "
        + "Use a chat template that marks it with {% generation %} ... {% endgeneration %}.");
}
