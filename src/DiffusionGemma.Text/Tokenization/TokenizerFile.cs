namespace DiffusionGemma;

/// <summary>Content of a tokenizer.json in which everything is supported.</summary>
/// <param name="Vocabulary">Tokens and ids, added tokens included.</param>
/// <param name="Merges">In order of rank.</param>
/// <param name="AddedTokens">Tokens that are cut out of the raw text.</param>
/// <param name="MarksSpaces">The normalizer replaces a space by ▁, and the decoder replaces it back.</param>
/// <param name="Notices">Parts of the file that are ignored because ids do not depend on them.</param>
internal sealed record TokenizerFile(
    Vocabulary Vocabulary, IReadOnlyList<Merge> Merges, IReadOnlyList<AddedToken> AddedTokens, bool MarksSpaces,
    IReadOnlyList<string> Notices);
