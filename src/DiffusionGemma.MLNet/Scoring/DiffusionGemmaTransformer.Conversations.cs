namespace DiffusionGemma;

// One conversation at a time, and what is known of its answer.
public sealed partial class DiffusionGemmaTransformer
{
    /// <summary>
    /// Fills gaps in a response: <c>&lt;gap:n&gt;</c> marks n tokens, and the model finds what fits the given text around them.
    /// <code>
    /// What is 8 plus 7?   8 plus &lt;gap:1&gt; is &lt;gap:2&gt;.   ->   8 plus 7 is 15.        Gaps: "7", "15"
    /// </code>
    /// </summary>
    /// <remarks>
    /// A response that does not end in a gap ends where it is given to end; one that does is filled with n tokens at most. A gap sees what
    /// stands before it, and behind it what stands in the same canvas: canvases are written one after another. Free tokens may come out as
    /// special ones, which the text leaves out.
    /// </remarks>
    /// <param name="conversation">The messages array as JSON, or an object with <c>messages</c>; it ends with the user.</param>
    /// <param name="response">For example <c>8 plus &lt;gap:1&gt; is 15.</c></param>
    /// <param name="options">Where null: <see cref="Generation"/>. The response says how long it is, whatever
    /// <see cref="GenerationOptions.MaxNewTokens"/> says.</param>
    /// <param name="cancellation">Looked at before every pass of the decoder.</param>
    /// <exception cref="ChatException">The conversation is malformed or ends with the assistant, or a gap is malformed.</exception>
    /// <exception cref="ArgumentException">The response is too long for the model, or an option is out of range.</exception>
    /// <exception cref="OperationCanceledException">Cancelled, without <see cref="GenerationOptions.ReturnOnCancellation"/>.</exception>
    public TextAnswer Infill(string conversation, string response, GenerationOptions? options = null,
        CancellationToken cancellation = default)
    {
        ChatConversation chat = Waiting(conversation);
        InfillText text = InfillText.Parse(response, _text.Tokenizer.Tokenizer);
        GenerationOptions asked = _text.Complete(options?.Over(Generation) ?? Generation);
        var pinned = new Dictionary<int, int>(text.Pinned);
        int length = text.Length;
        if (!text.EndsOpen && End(chat, asked) is { } end) pinned[length++] = end;
        TextAnswer answer = Answer(new GenerationRequest(_text.Tokenizer.Encode(chat).Ids) { Pinned = pinned },
            asked with { MaxNewTokens = length }, cancellation);
        return answer with { Gaps = [.. text.Gaps.Select(gap => Decode([.. answer.Result.Ids.Skip(gap.Start).Take(gap.Length)]))] };
    }

    /// <summary>Refines a draft of a response: denoising starts from its tokens and an end token instead of random ones.</summary>
    /// <param name="conversation">The messages array as JSON, or an object with <c>messages</c>; it ends with the user.</param>
    /// <param name="draft">The response so far.</param>
    /// <param name="options">Where null: <see cref="Generation"/>.</param>
    /// <param name="cancellation">Looked at before every pass of the decoder.</param>
    /// <exception cref="ChatException">The conversation is malformed or ends with the assistant.</exception>
    /// <exception cref="ArgumentException">The draft is longer than <see cref="GenerationOptions.MaxNewTokens"/> allows, the conversation
    /// too long for the model, or an option out of range.</exception>
    /// <exception cref="OperationCanceledException">Cancelled, without <see cref="GenerationOptions.ReturnOnCancellation"/>.</exception>
    public TextAnswer Refine(string conversation, string draft, GenerationOptions? options = null, CancellationToken cancellation = default)
    {
        ArgumentNullException.ThrowIfNull(draft);
        ChatConversation chat = Waiting(conversation);
        GenerationOptions asked = _text.Complete(options?.Over(Generation) ?? Generation);
        int[] ids = [.. _text.Tokenizer.Tokenizer.EncodeToIds(draft)];
        GenerationOptions resolved = asked.Resolve(Folder);
        // The end is no part of the draft: it is there where there is room.
        if (End(chat, asked) is { } end && ids.Length < resolved.MaxNewTokens) ids = [.. ids, end];
        return Answer(new GenerationRequest(_text.Tokenizer.Encode(chat).Ids) { Draft = ids }, asked, cancellation);
    }

    private static ChatConversation Waiting(string conversation)
    {
        ArgumentNullException.ThrowIfNull(conversation);
        ChatConversation chat = ChatConversation.Parse(conversation);
        return !chat.IsAnswered ? chat : throw new ChatException("The conversation ends with the assistant: leave its last message out.");
    }

    /// <summary>
    /// Finds the token that ends an answer: the one that the chat template writes after it, else the first of the options.
    /// </summary>
    private int? End(ChatConversation chat, GenerationOptions options)
    {
        IReadOnlyList<int> ends = options.Resolve(Folder).EosTokenIds!;
        foreach (int id in _text.Tokenizer.EncodeAnswerEnd(chat))
            if (ends.Contains(id)) return id;
        return ends is [var first, ..] ? first : null;
    }

    private TextAnswer Answer(GenerationRequest request, GenerationOptions options, CancellationToken cancellation)
    {
        lock (_modelInUse)
        {
            GenerationResult result = CanvasGenerator.Generate(Loaded().Model, [request], options, cancellation: cancellation)[0];
            return new TextAnswer(Parse(request.Prompt, result.Ids), result);
        }
    }
}
