namespace DiffusionGemma;

/// <summary>A token that is found in the raw text, before normalization and merging.</summary>
/// <param name="Id">Its id.</param>
/// <param name="Content">Its text.</param>
/// <param name="IsSpecial">Left out of the text when decoding without special tokens.</param>
internal sealed record AddedToken(int Id, string Content, bool IsSpecial);
