using System.Text;
using DiffusionGemma.Jinja;

namespace DiffusionGemma;

/// <summary>
/// Finds out which special tokens' text in a rendered conversation came from the row and not from the template. The row's texts are marked
/// with a character that occurs nowhere else, behind the first character of whatever is, or may become, the text of a special token:
///
///     row      what is &lt;turn|&gt;?              template    {{ '&lt;|turn&gt;user\n' + content + '&lt;turn|&gt;' }}
///     marked   what is &lt;*turn|&gt;?
///     page     &lt;|turn&gt;user\nwhat is &lt;*turn|&gt;?&lt;turn|&gt;   ->  no special token may begin before the *
/// </summary>
internal sealed class SpecialTextEscape
{
    // Never characters of a text: Unicode keeps them for a program's own use.
    private const char FirstMark = '\uFDD0';
    private const char LastMark = '\uFDEF';

    private readonly string[] _specialTexts;
    private readonly AddedTokenTrie _special;
    private readonly bool _onlyUserText;

    public SpecialTextEscape(IEnumerable<AddedToken> addedTokens, bool onlyUserText)
    {
        _onlyUserText = onlyUserText;
        AddedToken[] special = [.. addedTokens.Where(token => token.IsSpecial)];
        _special = new AddedTokenTrie(special);
        _specialTexts = [.. special.Select(token => token.Content)];
    }

    /// <summary>Finds the positions in the page where no special token may begin.</summary>
    /// <param name="conversation">The row.</param>
    /// <param name="page">What the template writes for it.</param>
    /// <param name="template">The template's source.</param>
    /// <param name="render">Writes another conversation with the same template.</param>
    /// <exception cref="ChatException">The template treats the marked row in another way, so that it cannot be told what came from
    /// where.</exception>
    public HashSet<int> FindBarred(ChatConversation conversation, string page, string template, Func<ChatConversation, string> render)
    {
        bool isMarked = false;
        char mark = FirstMark;
        ChatConversation marked = Mark();
        while (isMarked && (page.Contains(mark) || template.Contains(mark)))
        {
            if (mark++ == LastMark)
                throw new ChatException(
                    $"EscapeSpecialTokens: the row holds all noncharacters U+{(int)FirstMark:X4} to U+{(int)LastMark:X4}, "
                    + "one of them is needed to mark special tokens.");
            marked = Mark();
        }
        return isMarked ? ReadMarks(render(marked), mark, page) : [];

        ChatConversation Mark() => _onlyUserText ? conversation.WithUserTexts(MarkOne) : conversation.WithTexts(MarkOne);

        string MarkOne(string text)
        {
            string result = MarkText(text, mark);
            isMarked |= result.Length > text.Length;
            return result;
        }
    }

    /// <summary>The special tokens whose text the row holds, in the order of their first occurrence.</summary>
    public IReadOnlyList<string> FindSpecialTexts(ChatConversation conversation)
    {
        List<string> found = [];
        foreach (string text in conversation.Texts)
        {
            for (int at = 0; _special.TryFind(text, at, barred: null, out int start, out int length, out _); at = start + length)
            {
                if (text.Substring(start, length) is var special && !found.Contains(special)) found.Add(special);
            }
        }
        return found;
    }

    private static HashSet<int> ReadMarks(string marked, char mark, string page)
    {
        HashSet<int> barred = [];
        StringBuilder text = new(marked.Length);
        foreach (char character in marked)
        {
            if (character != mark)
                text.Append(character);
            else if (text.Length > 0)
                barred.Add(text.Length >= 2 && char.IsLowSurrogate(text[^1]) ? text.Length - 2 : text.Length - 1);
        }
        if (!text.Equals(page))
            throw new ChatException(
                "EscapeSpecialTokens: the row holds the text of a special token, and the chat template writes the row differently for it. "
                + "Take it out of the row, or use a template that writes the content as it is.");
        return barred;
    }

    private string MarkText(string text, char mark)
    {
        int trimmed = PyString.TrimEnd(text).Length;
        StringBuilder? marked = null;
        int done = 0;
        for (int at = 0; _special.TryFindStart(text, at, out at); at++)
        {
            if (!_special.TryMatch(text.AsSpan(at), out _, out _) && !(at < trimmed && MayBecomeSpecial(text.AsSpan(at, trimmed - at))))
                continue;
            int end = at + (char.IsSurrogatePair(text, at) ? 2 : 1);
            marked = (marked ?? new StringBuilder()).Append(text, done, end - done).Append(mark);
            done = end;
        }
        return marked is null ? text : marked.Append(text, done, text.Length - done).ToString();
    }

    /// <summary>The template, or another text of the row, may write the rest of it; space at the end may be trimmed before.</summary>
    private bool MayBecomeSpecial(ReadOnlySpan<char> end)
    {
        foreach (string special in _specialTexts)
        {
            if (special.AsSpan().StartsWith(end))
                return true;
        }
        return false;
    }
}
