using System.Globalization;
using System.Text.RegularExpressions;

namespace DiffusionGemma;

/// <summary>
/// A response of which parts are given and parts are to be found: <c>&lt;gap:n&gt;</c> stands for n tokens. What stands between gaps is
/// encoded by itself, as nothing is known of the tokens beside it.
/// </summary>
/// <remarks>
/// <code>
/// It is &lt;gap:3&gt; today.      It  ▁is  ▁    ?  ?  ?    ▁today  .
/// Pinned                    0   1    2             6       7
/// </code>
/// Special tokens' text becomes the token, as everywhere. A text that holds the letters <c>&lt;gap</c> for their own sake cannot be given:
/// pin its tokens through <c>GenerationRequest.Pinned</c>.
/// </remarks>
/// <param name="Length">Tokens of the response, gaps included.</param>
/// <param name="Pinned">Position to token: what is given.</param>
/// <param name="Gaps">First position and number of tokens of each gap, in order.</param>
public sealed partial record InfillText(int Length, IReadOnlyDictionary<int, int> Pinned, IReadOnlyList<(int Start, int Length)> Gaps)
{
    private const int LongestGap = 1 << 16;

    /// <summary>True if the response ends in a gap, so that its end is open.</summary>
    public bool EndsOpen => !Pinned.ContainsKey(Length - 1);

    /// <summary>Reads a response with gaps.</summary>
    /// <param name="text">At least one gap or one character.</param>
    /// <param name="tokenizer">The checkpoint's.</param>
    /// <exception cref="ChatException">There is nothing in it, or a gap is malformed; the message says where.</exception>
    public static InfillText Parse(string text, DiffusionGemmaTokenizer tokenizer)
    {
        ArgumentNullException.ThrowIfNull(text);
        ArgumentNullException.ThrowIfNull(tokenizer);
        var pinned = new Dictionary<int, int>();
        var gaps = new List<(int Start, int Length)>();
        int length = 0, from = 0;
        void Given(string piece)
        {
            foreach (int id in tokenizer.EncodeToIds(piece)) pinned[length++] = id;
        }

        foreach (Match gap in Gap().Matches(text))
        {
            if (!int.TryParse(gap.Groups["n"].Value, NumberStyles.None, CultureInfo.InvariantCulture, out int tokens)
                || tokens is < 1 or > LongestGap)
                throw new ChatException(
                    $"The gap '{gap.Value}' at character {gap.Index} is malformed: "
                    + $"write <gap:n> with a number of tokens from 1 to {LongestGap}.");
            Given(text[from..gap.Index]);
            gaps.Add((length, tokens));
            length = checked(length + tokens);
            from = gap.Index + gap.Length;
        }
        Given(text[from..]);
        return length > 0 ? new InfillText(length, pinned, gaps) : throw new ChatException(
            "The response is empty: give a text, or gaps as <gap:n>.");
    }

    // Whatever begins as a gap does is one: "<gap>" or "<gap:3" without its end is refused, not taken for text.
    [GeneratedRegex(@"<gap:(?<n>[^<>]{0,20})>|<gap\b[^<>]{0,20}>?", RegexOptions.ExplicitCapture | RegexOptions.CultureInvariant)]
    private static partial Regex Gap();
}
