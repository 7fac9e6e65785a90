using System.Text;

namespace DiffusionGemma;

/// <summary>Every character, in UTF-8 and inside a JSON string, against System.Text.Json's own encoder.</summary>
public class CharacterEncodingTests
{
    [Fact]
    public void A_json_string_holds_each_character_in_one_form()
    {
        Language any = new Language.Characters(CodePointSet.All);
        ByteAutomaton json = LanguageCompiler.Compile(CharacterEncoding.JsonString(any, withControls: true), 10_000);
        ByteAutomaton plain = LanguageCompiler.Compile(CharacterEncoding.Utf8(any), 1000);
        for (int codePoint = 0; codePoint <= CodePointSet.Last; codePoint++)
        {
            if (!Rune.IsValid(codePoint)) continue;
            string text = new Rune(codePoint).ToString(), written = JsonForm.Write(text)[1..^1];
            Assert.True(json.Accepts(written), $"U+{codePoint:X4} is written {written}");
            Assert.True(written == text || !json.Accepts(text), $"U+{codePoint:X4} must be escaped");
            Assert.True(plain.Accepts(text), $"U+{codePoint:X4}");
            Assert.True(codePoint < 0x80 || written == text, $"U+{codePoint:X4} must not be escaped");
        }
        // One form only: no other escape of the same characters, no halves of pairs, no overlong or truncated bytes.
        foreach (string other in (string[])["\\u0041", "\\/", "\\ud83d\\ude00", "\\uD83D", "\\uDE00", "\\u00e9", "\\x41", "ab", ""])
            Assert.False(json.Accepts(other), other);
        Assert.False(plain.Accepts([0xC0, 0x80]));
        Assert.False(plain.Accepts([0xED, 0xA0, 0x80]));
        Assert.False(plain.Accepts([0xF4, 0x90, 0x80, 0x80]));
        Assert.False(plain.Accepts([0xE2, 0x82]));
    }

    [Fact]
    public void Ranges_of_digits_are_split_without_gap_or_overlap()
    {
        (int, int)[] limits = [(0, 9), (0, 9), (0, 9)];
        var random = new Random(5);
        for (int n = 0; n < 500; n++)
        {
            int a = random.Next(1000), b = random.Next(a, 1000);
            int[] Digits(int value) => [value / 100, value / 10 % 10, value % 10];
            var hits = new int[1000];
            foreach ((int First, int Last)[] part in DigitRanges.Split(Digits(a), Digits(b), limits))
                for (int value = 0; value < 1000; value++)
                    if (Digits(value).Zip(part).All(d => d.Second.First <= d.First && d.First <= d.Second.Last)) hits[value]++;
            for (int value = 0; value < 1000; value++) Assert.Equal(value >= a && value <= b ? 1 : 0, hits[value]);
        }
    }
}
