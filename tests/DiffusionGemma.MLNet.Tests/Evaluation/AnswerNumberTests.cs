using System.Globalization;
using System.Numerics;
using System.Text;
using CsCheck;

namespace DiffusionGemma.Evaluation;

public sealed class AnswerNumberTests
{
    [Theory]
    [InlineData("#### 72", "72")]
    [InlineData("####72", "72")]
    [InlineData("####: 72", "72")]
    [InlineData("####\n72", "72")]
    [InlineData("####:\r\n\r\n72", "72")]
    [InlineData("#### **72**", "72")]
    [InlineData("**#### 72**", "72")]
    [InlineData("#### __72__.", "72")]
    [InlineData("#### `72`", "72")]
    [InlineData("#### 72 apples", "72")]
    [InlineData("#### 72, because", "72")]
    [InlineData("#### 72! 5 remain.", "72")]
    [InlineData("#### 72\n5 remain", "72")]
    [InlineData("(#### 72)", "72")]
    [InlineData("#### +5", "5")]
    [InlineData("#### -5", "-5")]
    [InlineData("#### \u22125", "-5")]
    [InlineData("#### $5", "5")]
    [InlineData("#### -€5", "-5")]
    [InlineData("#### £-5", "-5")]
    [InlineData("#### 5€", "5")]
    [InlineData("#### 5 ₽ each", "5")]
    [InlineData("#### $72$", "72")]
    [InlineData("#### 1,234", "1234")]
    [InlineData("#### 1 234 567", "1234567")]
    [InlineData("#### 1\u202F234", "1234")]
    [InlineData("#### 1\u00A0234.50", "1234.5")]
    [InlineData("#### 12,345,678.9", "12345678.9")]
    [InlineData("#### 1\u2009234", "1234")]
    [InlineData("#### 1\u2007234\u2007567", "1234567")]
    [InlineData("#### € 5", "5")]
    [InlineData("#### $ -5", "-5")]
    [InlineData("#### -$\u00A05", "-5")]
    [InlineData("#### 72。", "72")]
    [InlineData("#### 72 - because", "72")]
    [InlineData("#### 72 -", "72")]
    [InlineData("#### 72 xylophones", "72")]
    [InlineData("#### 72 (5 in each)", "72")]
    [InlineData("#### 5 or 6", "5")]
    [InlineData("#### 5\u20286", "5")]
    [InlineData("#### 1.50", "1.5")]
    [InlineData("#### .5", "0.5")]
    [InlineData("#### 5.", "5")]
    [InlineData("#### 007", "7")]
    [InlineData("#### -0.00", "0")]
    [InlineData("#### 2e3", "2000")]
    [InlineData("#### 2E+3", "2000")]
    [InlineData("#### 2.5e-3", "0.0025")]
    [InlineData("#### 1e100", "1e100")]
    [InlineData("#### 10e99", "1e100")]
    [InlineData("#### 1/2", "0.5")]
    [InlineData("#### -3 / 4", "-0.75")]
    [InlineData("#### 1/3", "1/3")]
    [InlineData("#### 2/6", "1/3")]
    [InlineData("#### 10/3", "10/3")]
    [InlineData("#### 1.5/3", "0.5")]
    [InlineData("#### 1,000/3", "1000/3")]
    [InlineData("#### 1\n#### 2", "2")]
    [InlineData("#### 72\n#### Check", "72")]
    [InlineData("##### 72", "72")]
    [InlineData("72", null)]
    [InlineData("####", null)]
    [InlineData("#### seventy-two", null)]
    [InlineData("#### 72a", null)]
    [InlineData("#### 5eggs", null)]
    [InlineData("#### 5e", null)]
    [InlineData("#### 5%", null)]
    [InlineData("#### 5-6", null)]
    [InlineData("#### 5 %", null)]
    [InlineData("#### 5\u00A0‰", null)]
    [InlineData("#### 5％", null)]
    [InlineData("#### 2 × 10^3", null)]
    [InlineData("#### 2 x 10^3", null)]
    [InlineData("#### 5 + 3 = 8", null)]
    [InlineData("#### 5 – $3", null)]
    [InlineData("#### 72 - 80", null)]
    [InlineData("#### 10 ** 6", null)]
    [InlineData("#### 5 : 3", null)]
    [InlineData("#### 5 ≤ 6", null)]
    [InlineData("#### 1\u2009234\u202F567", null)]
    [InlineData("#### 1\t234", null)]
    [InlineData("#### 1\u20092345", null)]
    [InlineData("#### 1 ½", null)]
    [InlineData("#### 5 ²", null)]
    [InlineData("#### 3; 4", null)]
    [InlineData("#### $ $5", null)]
    [InlineData("#### 5^2", null)]
    [InlineData("#### 1,23", null)]
    [InlineData("#### 1,2345", null)]
    [InlineData("#### 1234,567", null)]
    [InlineData("#### 0,125", null)]
    [InlineData("#### 1.2.3", null)]
    [InlineData("#### 1.234,5", null)]
    [InlineData("#### 1,234 567", null)]
    [InlineData("#### 72,,", null)]
    [InlineData("#### 72..", null)]
    [InlineData("#### 1 2/3", null)]
    [InlineData("#### 12 5", null)]
    [InlineData("#### 3, 4", null)]
    [InlineData("#### 1/2/3", null)]
    [InlineData("#### 1/0", null)]
    [InlineData("#### 1e5/2", null)]
    [InlineData("#### 1e9999999999", null)]
    [InlineData("#### --5", null)]
    [InlineData("#### $$5", null)]
    [InlineData("#### 7\u0662", null)]
    [InlineData("#### 2\n#### 1.5.1", null)]
    public void A_number_is_read_whole_or_not_at_all(string text, string? key) =>
        Assert.Equal(key, AnswerNumber.Read(text, mayStandAlone: false));

    [Theory]
    [InlineData(" 72 ", "72")]
    [InlineData("$1,234.", "1234")]
    [InlineData("72 apples", null)]
    [InlineData("it is 72", null)]
    [InlineData("", null)]
    public void An_expected_text_may_be_the_number_alone(string text, string? key) =>
        Assert.Equal(key, AnswerNumber.Read(text, mayStandAlone: true));

    private sealed record Written(string Text, BigInteger Digits, int Scale, string Plain);

    /// <summary>A number in a random notation, with its value.</summary>
    private static Gen<Written> Numbers =>
        from seed in Gen.Int[0, int.MaxValue]
        select Write(new Random(seed));

    [Fact]
    public void Every_notation_of_a_number_gives_its_key() => Numbers.Check(3000, number =>
    {
        string key = AnswerNumber.Read(number.Text, mayStandAlone: false)!;
        Assert.Equal(AnswerNumber.Read($"#### {number.Plain}", mayStandAlone: false), key);
        // A key is a number in the plainest notation, and so its own key.
        Assert.Equal(key, AnswerNumber.Read(key, mayStandAlone: true));
    });

    [Fact]
    public void Different_numbers_have_different_keys() => Gen.Select(Numbers, Numbers).Check(3000, (pair) =>
    {
        (Written a, Written b) = pair;
        BigInteger left = a.Digits * BigInteger.Pow(10, b.Scale), right = b.Digits * BigInteger.Pow(10, a.Scale);
        Assert.Equal(left == right, AnswerNumber.Read(a.Text, false) == AnswerNumber.Read(b.Text, false));
    });

    [Fact]
    public void A_letter_or_a_second_separator_that_touches_a_number_makes_it_none()
    {
        string[] endings = ["a", "é", "%", "..", ",,", "_a", "/", "-", "²", ",5", ".5.", "'5", "e", "x2", "٣"];
        Gen.Select(Numbers, Gen.Int[0, endings.Length - 1]).Check(3000, pair =>
        {
            (Written number, int ending) = pair;
            Assert.Null(AnswerNumber.Read($"#### {number.Plain}.0{endings[ending]}", mayStandAlone: false));
        });
    }

    [Fact]
    public void Any_text_is_read_without_an_exception() => Gen.Int[0, int.MaxValue].Check(20000, seed =>
    {
        var random = new Random(seed);
        const string Pieces = "0123456789.,/eE+-−$€*_`: \n\t#ab%()\u202F\u00A0";
        string text = "####" + string.Concat(Enumerable.Range(0, random.Next(12)).Select(_ => Pieces[random.Next(Pieces.Length)]));
        if (AnswerNumber.Read(text, mayStandAlone: true) is { } key)
            Assert.Equal(key, AnswerNumber.Read(key, mayStandAlone: true));
    });

    private static Written Write(Random random)
    {
        int scale = random.Next(4);
        BigInteger digits = random.NextInt64(0, (long)Math.Pow(10, random.Next(1, 13)));
        bool isNegative = random.Next(3) == 0 && !digits.IsZero;
        string all = digits.ToString(CultureInfo.InvariantCulture).PadLeft(scale + 1, '0');
        (string whole, string part) = (all[..^scale], all[^scale..]);
        var text = new StringBuilder();
        string separator = new[] { "", ",", " ", "\u202F", "\u00A0" }[random.Next(5)];
        for (int i = 0; i < whole.Length; i++)
            text.Append(i > 0 && (whole.Length - i) % 3 == 0 ? separator : "").Append(whole[i]);
        if (scale > 0)
            text.Append('.').Append(part);
        string number = text.ToString();
        if (random.Next(8) == 0)
            number = $"{all}e-{scale}";
        string sign = isNegative ? new[] { "-", "\u2212" }[random.Next(2)] : new[] { "", "+" }[random.Next(2)];
        string currency = new[] { "", "", "$", "€", "¥" }[random.Next(5)];
        string emphasis = new[] { "", "", "**", "_", "`" }[random.Next(5)];
        string marker = new[] { "####", "#### ", "####:", "####: ", "####\n", "####\t" }[random.Next(6)];
        string end = new[] { "", ".", " apples", "\n", ".\nDone.", ", so", "!" }[random.Next(7)];
        string written = random.Next(2) == 0 ? sign + currency + number : currency + sign + number;
        string plain = (isNegative ? "-" : "") + (scale > 0 ? $"{whole}.{part}" : whole);
        return new Written($"Work: 3 + 4\n{marker}{emphasis}{written}{emphasis}{end}", isNegative ? -digits : digits, scale, plain);
    }
}
