namespace DiffusionGemma;

/// <summary>
/// A checkpoint's tokenizer and chat template together: conversations to ids and to a mask of what the assistant wrote.
/// The text is always encoded whole, because tokens merge across the seam of two pieces. One instance may be used by many threads.
/// </summary>
public sealed class ChatTokenizer
{
    private readonly SpecialTextEscape? _escape;

    /// <summary>Puts the two together.</summary>
    /// <param name="tokenizer">The checkpoint's tokenizer.</param>
    /// <param name="template">The checkpoint's chat template.</param>
    /// <param name="options">Null: as transformers does.</param>
    public ChatTokenizer(DiffusionGemmaTokenizer tokenizer, ChatTemplate template, ChatTokenizerOptions? options = null)
    {
        ArgumentNullException.ThrowIfNull(tokenizer);
        ArgumentNullException.ThrowIfNull(template);
        (Tokenizer, Template) = (tokenizer, template);
        if (options?.EscapeSpecialTokens == true)
            _escape = new SpecialTextEscape(tokenizer.AddedTokens);
    }

    /// <summary>The checkpoint's tokenizer.</summary>
    public DiffusionGemmaTokenizer Tokenizer { get; }

    /// <summary>The checkpoint's chat template.</summary>
    public ChatTemplate Template { get; }

    /// <summary>Reads both from a checkpoint's folder.</summary>
    /// <exception cref="FileNotFoundException">A file is missing; the message names it.</exception>
    /// <exception cref="InvalidDataException">A file is broken or holds something that is not supported.</exception>
    /// <exception cref="ChatException">The template cannot be read; the message has the line.</exception>
    public static ChatTokenizer Load(string folder) => Load(folder, new ChatTokenizerOptions());

    /// <summary>Reads both from a checkpoint's folder.</summary>
    /// <inheritdoc cref="Load(string)" path="/exception"/>
    public static ChatTokenizer Load(string folder, ChatTokenizerOptions options) =>
        new(DiffusionGemmaTokenizer.Load(folder), ChatTemplate.Load(folder), options);

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
        bool isAnswered = conversation.IsAnswered;
        (RenderedChat chat, int[] ids, TextSpan[] spans) = RenderAndEncode(conversation, addGenerationPrompt: !isAnswered);
        if (!isAnswered)
            return new TokenizedChat(ids, new bool[ids.Length]);
        return new TokenizedChat(ids, Template.For(conversation).HasGenerationBlocks
            ? MaskOf(spans, chat.GeneratedSpans)
            : MaskAfterPrompt(conversation, chat.Text, ids));
    }

    /// <summary>Ids of the prompt alone: an answered conversation without its answer, and the generation prompt.</summary>
    /// <exception cref="ChatException">The template refuses the conversation.</exception>
    public int[] EncodePrompt(ChatConversation conversation)
    {
        ArgumentNullException.ThrowIfNull(conversation);
        ChatConversation prompt = conversation.IsAnswered ? conversation.WithoutLast() : conversation;
        return RenderAndEncode(prompt, addGenerationPrompt: true).Ids;
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

    private (RenderedChat Chat, int[] Ids, TextSpan[] Spans) RenderAndEncode(ChatConversation conversation, bool addGenerationPrompt)
    {
        RenderedChat chat = Template.Render(conversation, addGenerationPrompt);
        HashSet<int>? barred = _escape?.FindBarred(
            conversation, chat.Text, Template.For(conversation).Source, marked => Template.Render(marked, addGenerationPrompt).Text);
        (int[] ids, TextSpan[] spans) = Tokenizer.EncodeWithSpans(chat.Text, barred);
        return (chat, ids, spans);
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
        (RenderedChat prompt, int[] promptIds, _) = RenderAndEncode(conversation.WithoutLast(), addGenerationPrompt: true);
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
