using System.Buffers;
using System.Text;
using Microsoft.ML.Tokenizers;

namespace DiffusionGemma;

/// <summary>
/// The checkpoint's own tokenizer, exactly: byte-pair encoding with byte fallback as its tokenizer.json describes it.
/// Nothing is added to a text (the chat template writes <c>&lt;bos&gt;</c>), and a special token's text inside it becomes that token.
/// One instance may be used by many threads.
/// </summary>
/// <remarks>
/// Normalization and pre-tokenization are the file's: the arguments <c>considerNormalization</c> and <c>considerPreTokenization</c> of the
/// base class change nothing. Offsets are in UTF-16 units of the given text; the tokens of one character that is written as bytes share its
/// offset.
/// </remarks>
public sealed class DiffusionGemmaTokenizer : Tokenizer
{
    private const string FileName = "tokenizer.json";

    private readonly Lazy<AddedTokenTrie> _specialTexts;
    private readonly Vocabulary _vocabulary;
    private readonly BpeEncoder _encoder;
    private readonly bool _marksSpaces;
    private readonly Lazy<VocabularyBytes> _bytes;

    private DiffusionGemmaTokenizer(TokenizerFile file, SpecialTokens special)
    {
        _vocabulary = file.Vocabulary;
        _encoder = new BpeEncoder(file);
        _marksSpaces = file.MarksSpaces;
        _bytes = new Lazy<VocabularyBytes>(() => new VocabularyBytes(_vocabulary, _marksSpaces));
        AddedTokens = file.AddedTokens;
        _specialTexts = new Lazy<AddedTokenTrie>(() => new AddedTokenTrie([.. file.AddedTokens.Where(token => token.IsSpecial)]));
        Notices = file.Notices;
        BosId = IdOfSpecial(special, "bos_token");
        EosId = IdOfSpecial(special, "eos_token");
        PadId = IdOfSpecial(special, "pad_token");
        UnknownId = IdOfSpecial(special, "unk_token");
    }

    /// <summary>One more than the highest id.</summary>
    public int VocabularySize => _vocabulary.Size;

    /// <summary>The id of the folder's <c>bos_token</c>, if it names one.</summary>
    public int? BosId { get; }

    /// <summary>The id of the folder's <c>eos_token</c>, if it names one.</summary>
    public int? EosId { get; }

    /// <summary>The id of the folder's <c>pad_token</c>, if it names one.</summary>
    public int? PadId { get; }

    /// <summary>The id of the folder's <c>unk_token</c>, if it names one. Encoding never gives it: every character has its bytes.</summary>
    public int? UnknownId { get; }

    /// <summary>Parts of tokenizer.json that are ignored because ids do not depend on them here, a sentence each; usually none.</summary>
    public IReadOnlyList<string> Notices { get; }

    /// <summary>
    /// The UTF-8 bytes that each id adds to a decoded text: what an automaton over bytes sees of a token. Made at the first use.
    /// </summary>
    public VocabularyBytes VocabularyBytes => _bytes.Value;

    /// <summary>Reads tokenizer.json, and the names of special tokens from the tokenizer_config.json beside it.</summary>
    /// <param name="folder">A checkpoint folder, or the path of a tokenizer.json.</param>
    /// <exception cref="FileNotFoundException">There is no tokenizer.json.</exception>
    /// <exception cref="InvalidDataException">A file is broken, or holds something that would change the result and is not
    /// supported.</exception>
    public static DiffusionGemmaTokenizer Load(string folder)
    {
        ArgumentException.ThrowIfNullOrEmpty(folder);
        string path = Directory.Exists(folder) ? Path.Combine(folder, FileName) : folder;
        if (!File.Exists(path))
            throw new FileNotFoundException($"No {FileName} at {path}: give the checkpoint's folder, or the path of its {FileName}.", path);
        TokenizerFile file = TokenizerFileReader.Read(path);
        return new DiffusionGemmaTokenizer(file, SpecialTokens.Load(Path.GetDirectoryName(Path.GetFullPath(path))!));
    }

    /// <summary>The id of a token by its text in the vocabulary (there, a space is written ▁), or null.</summary>
    public int? IdOf(string token)
    {
        ArgumentNullException.ThrowIfNull(token);
        return _vocabulary.IdOf(token);
    }

    /// <summary>The text of a token in the vocabulary, or null for an id that has none.</summary>
    public string? TokenOf(int id) => _vocabulary.TokenOf(id);

    /// <summary>True if the id is a control token such as <c>&lt;eos&gt;</c> or <c>&lt;turn|&gt;</c>.</summary>
    public bool IsSpecial(int id) => _vocabulary.IsSpecial(id);

    /// <summary>
    /// Text of ids. Bytes that form no valid UTF-8 give U+FFFD, one for each byte of their run; ids without a token give nothing.
    /// A literal ▁ cannot be distinguished from a space, and becomes one.
    /// </summary>
    /// <param name="ids">Token ids.</param>
    /// <param name="skipSpecialTokens">Leave special tokens out.</param>
    public string Decode(IEnumerable<int> ids, bool skipSpecialTokens)
    {
        ArgumentNullException.ThrowIfNull(ids);
        TokenDecoder decoder = CreateDecoder(skipSpecialTokens);
        StringBuilder text = new();
        foreach (int id in ids)
            decoder.Append(id, text);
        decoder.End(text);
        return text.ToString();
    }

    /// <summary>Text of ids, special tokens included.</summary>
    public override string Decode(IEnumerable<int> ids) => Decode(ids, skipSpecialTokens: false);

    /// <inheritdoc/>
    public override OperationStatus Decode(IEnumerable<int> ids, Span<char> destination, out int idsConsumed, out int charsWritten)
    {
        int[] all = [.. ids];
        string text = Decode(all);
        if (text.Length > destination.Length)
        {
            // Part of a byte run would decode to something else, so it is all or nothing.
            (idsConsumed, charsWritten) = (0, 0);
            return OperationStatus.DestinationTooSmall;
        }
        text.CopyTo(destination);
        (idsConsumed, charsWritten) = (all.Length, text.Length);
        return OperationStatus.Done;
    }

    /// <summary>Tokens that are found in the raw text.</summary>
    internal IReadOnlyList<AddedToken> AddedTokens { get; }

    /// <summary>True where the text holds the text of a special token.</summary>
    internal bool HoldsSpecialToken(string text) => _specialTexts.Value.TryFind(text, 0, barred: null, out _, out _, out _);

    /// <summary>A decoder of one text.</summary>
    internal TokenDecoder CreateDecoder(bool skipSpecialTokens) => new(_vocabulary, _marksSpaces, skipSpecialTokens);

    /// <summary>The tokens of a text and what each covers.</summary>
    /// <param name="text">Any text.</param>
    /// <param name="barred">Places where no added token may begin.</param>
    internal (int[] Ids, TextSpan[] Spans) EncodeWithSpans(ReadOnlySpan<char> text, HashSet<int>? barred = null)
    {
        TokenSink sink = new(withSpans: true);
        _encoder.Encode(text, sink, barred);
        return ([.. sink.Ids], [.. sink.Spans!]);
    }

    /// <inheritdoc/>
    protected override EncodeResults<EncodedToken> EncodeToTokens(string? text, ReadOnlySpan<char> textSpan, EncodeSettings settings)
    {
        (int[] ids, TextSpan[] spans) = EncodeWithSpans(text ?? textSpan);
        int count = FromStart(spans, settings.MaxTokenCount);
        EncodedToken[] tokens = new EncodedToken[count];
        for (int i = 0; i < count; i++)
            tokens[i] = new EncodedToken(ids[i], _vocabulary.TokenOf(ids[i])!, new Range(spans[i].Start, spans[i].End));
        return new EncodeResults<EncodedToken> { Tokens = tokens, CharsConsumed = count == 0 ? 0 : spans[count - 1].End };
    }

    /// <inheritdoc/>
    protected override EncodeResults<int> EncodeToIds(string? text, ReadOnlySpan<char> textSpan, EncodeSettings settings)
    {
        ReadOnlySpan<char> all = text ?? textSpan;
        if (settings.MaxTokenCount == int.MaxValue)
        {
            TokenSink sink = new(withSpans: false);
            _encoder.Encode(all, sink);
            return new EncodeResults<int> { Tokens = sink.Ids, CharsConsumed = all.Length };
        }
        (int[] ids, TextSpan[] spans) = EncodeWithSpans(all);
        int count = FromStart(spans, settings.MaxTokenCount);
        return new EncodeResults<int> { Tokens = ids[..count], CharsConsumed = count == 0 ? 0 : spans[count - 1].End };
    }

    /// <inheritdoc/>
    protected override int CountTokens(string? text, ReadOnlySpan<char> textSpan, EncodeSettings settings) =>
        EncodeToIds(text, textSpan, settings).Tokens.Count;

    /// <inheritdoc/>
    protected override int GetIndexByTokenCount(
        string? text, ReadOnlySpan<char> textSpan, EncodeSettings settings, bool fromEnd, out string? normalizedText, out int tokenCount)
    {
        normalizedText = null;
        ReadOnlySpan<char> all = text ?? textSpan;
        TextSpan[] spans = EncodeWithSpans(all).Spans;
        if (!fromEnd)
        {
            tokenCount = FromStart(spans, settings.MaxTokenCount);
            return tokenCount == 0 ? 0 : spans[tokenCount - 1].End;
        }
        int first = Math.Max(0, spans.Length - settings.MaxTokenCount);
        while (first > 0 && first < spans.Length && spans[first - 1].End > spans[first].Start)
            first++;
        tokenCount = spans.Length - first;
        return tokenCount == 0 ? all.Length : spans[first].Start;
    }

    /// <summary>Number of leading tokens that fit, without splitting the bytes of a character.</summary>
    private static int FromStart(TextSpan[] spans, int most)
    {
        int count = Math.Min(spans.Length, most);
        while (count > 0 && count < spans.Length && spans[count].Start < spans[count - 1].End)
            count--;
        return count;
    }

    private int? IdOfSpecial(SpecialTokens special, string name) =>
        special.Tokens.TryGetValue(name, out string? token) ? _vocabulary.IdOf(token) : null;
}
