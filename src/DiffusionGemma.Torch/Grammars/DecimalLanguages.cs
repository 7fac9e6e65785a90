using System.Globalization;
using System.Numerics;

namespace DiffusionGemma;

/// <summary>
/// Languages of decimal numbers as JSON writes them without an exponent: no leading zeros, no trailing ones after a point, no -0.
/// </summary>
internal static class DecimalLanguages
{
    /// <summary>Digits before the point of a number without bounds, and after it of any number: what a double holds exactly.</summary>
    public const int MostDigits = 15;

    private static readonly Language AnyDigit = new Language.Bytes((byte)'0', (byte)'9');
    private static readonly Language NonZeroDigit = new Language.Bytes((byte)'1', (byte)'9');
    private static readonly Language AnyDigits = new Language.Repeat(AnyDigit, 0, null);

    /// <summary>Whole numbers between two, inclusive.</summary>
    public static Language Integers(BigInteger least, BigInteger most)
    {
        if (least > most) return Language.Nothing;
        var options = new List<Language>();
        if (least < 0)
            options.Add(Negative(Naturals(most < 0 ? -most : 1, -least)));
        if (most >= 0) options.Add(Naturals(BigInteger.Max(least, 0), most));
        return new Language.Choice(options);
    }

    /// <summary>Digit strings, with or without a sign, of whole numbers that a divisor divides.</summary>
    public static Language Multiples(int divisor) =>
        new Language.Sequence([Language.Optional(Language.Text("-")), new Language.Table(Remainders(divisor))]);

    /// <summary>Decimal numbers within bounds; null: unbounded, with at most <see cref="MostDigits"/> digits before the point.</summary>
    /// <param name="least">The lower bound.</param>
    /// <param name="leastExcluded">Whether the lower bound itself is left out.</param>
    /// <param name="most">The upper bound.</param>
    /// <param name="mostExcluded">Whether the upper bound itself is left out.</param>
    /// <param name="decimals">Digits after the point at most.</param>
    public static Language Numbers(decimal? least, bool leastExcluded, decimal? most, bool mostExcluded, int decimals)
    {
        var options = new List<Language>();
        int Length(decimal? bound) => bound is null ? 0 : Parts(Math.Abs(bound.Value)).Whole.ToString(CultureInfo.InvariantCulture).Length;
        int digits = Math.Max(MostDigits, Math.Max(Length(least), Length(most)));
        Language canonical = Canonical(digits, decimals), positive = new Language.Both(canonical, Positive());
        // From zero up, zero itself among them.
        if (most is null || most > 0 || most == 0 && !mostExcluded)
        {
            Language upper = canonical;
            if (least > 0 || least == 0 && leastExcluded) upper = new Language.Both(upper, AtLeast(least.Value, leastExcluded));
            if (most is not null) upper = new Language.Both(upper, AtMost(most.Value, mostExcluded));
            options.Add(upper);
        }
        if (least is null || least < 0)
        {
            Language lower = positive;
            if (most < 0) lower = new Language.Both(lower, AtLeast(-most.Value, mostExcluded));
            if (least is not null) lower = new Language.Both(lower, AtMost(-least.Value, leastExcluded));
            options.Add(Negative(lower));
        }
        return new Language.Choice(options);
    }

    private static Language Negative(Language positive) => new Language.Sequence([Language.Text("-"), positive]);

    private static Language Naturals(BigInteger least, BigInteger most)
    {
        var options = new List<Language>();
        if (least.IsZero) options.Add(Language.Text("0"));
        BigInteger from = BigInteger.Max(least, 1);
        while (from <= most)
        {
            int digits = from.ToString(CultureInfo.InvariantCulture).Length;
            BigInteger to = BigInteger.Min(most, BigInteger.Pow(10, digits) - 1);
            (int, int)[] limits = [.. Enumerable.Repeat((0, 9), digits)];
            options.AddRange(DigitRanges.Split(Digits(from), Digits(to), limits).Select(Product));
            from = to + 1;
        }
        return new Language.Choice(options);
    }

    private static int[] Digits(BigInteger value) => [.. value.ToString(CultureInfo.InvariantCulture).Select(c => c - '0')];

    private static Language Product((int First, int Last)[] digits) =>
        new Language.Sequence([.. digits.Select(d => Digit(d.First, d.Last))]);

    private static Language Digit(int first, int last) =>
        first > last ? Language.Nothing : new Language.Bytes((byte)('0' + first), (byte)('0' + last));

    /// <summary>0, 12, 0.5, 3.25, ...</summary>
    private static Language Canonical(int digits, int decimals)
    {
        Language whole = new Language.Choice(
            [Language.Text("0"), new Language.Sequence([NonZeroDigit, new Language.Repeat(AnyDigit, 0, digits - 1)])]);
        if (decimals == 0) return whole;
        Language fraction = new Language.Sequence([Language.Text("."), new Language.Repeat(AnyDigit, 0, decimals - 1), NonZeroDigit]);
        return new Language.Sequence([whole, Language.Optional(fraction)]);
    }

    /// <summary>At least one digit that is not zero.</summary>
    private static Language Positive()
    {
        Language any = new Language.Choice([AnyDigit, Language.Text(".")]);
        return new Language.Sequence([new Language.Repeat(any, 0, null), NonZeroDigit, new Language.Repeat(any, 0, null)]);
    }

    /// <summary>Canonical numbers from zero up that are at least a bound from zero up.</summary>
    private static Language AtLeast(decimal bound, bool isExcluded)
    {
        (BigInteger whole, string fraction) = Parts(bound);
        Language anyFraction = Language.Optional(new Language.Sequence([Language.Text("."), AnyDigits]));
        var options = new List<Language> { new Language.Sequence([LargerThan(whole), anyFraction]) };
        Language same = Language.Text(whole.ToString(CultureInfo.InvariantCulture));
        if (fraction.Length == 0)
        {
            Language more = new Language.Sequence([Language.Text("."), AnyDigit, AnyDigits]);
            options.Add(new Language.Sequence([same, isExcluded ? more : Language.Optional(more)]));
            return new Language.Choice(options);
        }
        for (int i = 0; i < fraction.Length; i++)
            options.Add(new Language.Sequence([same, Language.Text("." + fraction[..i]), Digit(fraction[i] - '0' + 1, 9), AnyDigits]));
        Language tail = isExcluded ? new Language.Repeat(AnyDigit, 1, null) : AnyDigits;
        options.Add(new Language.Sequence([same, Language.Text("." + fraction), tail]));
        return new Language.Choice(options);
    }

    /// <summary>Canonical numbers from zero up that are at most a bound from zero up.</summary>
    private static Language AtMost(decimal bound, bool isExcluded)
    {
        (BigInteger whole, string fraction) = Parts(bound);
        Language anyFraction = Language.Optional(new Language.Sequence([Language.Text("."), AnyDigits]));
        var options = new List<Language>();
        if (whole > 0) options.Add(new Language.Sequence([Naturals(0, whole - 1), anyFraction]));
        Language same = Language.Text(whole.ToString(CultureInfo.InvariantCulture));
        if (fraction.Length > 0 || !isExcluded) options.Add(same);
        for (int i = 0; i < fraction.Length; i++)
        {
            options.Add(new Language.Sequence([same, Language.Text("." + fraction[..i]), Digit(0, fraction[i] - '0' - 1), AnyDigits]));
            if (i + 1 < fraction.Length || !isExcluded)
                options.Add(new Language.Sequence([same, Language.Text("." + fraction[..(i + 1)])]));
        }
        return new Language.Choice(options);
    }

    /// <summary>Whole numbers larger than one: of as many digits, or of more.</summary>
    private static Language LargerThan(BigInteger whole)
    {
        int digits = whole.ToString(CultureInfo.InvariantCulture).Length;
        Language longer = new Language.Sequence([NonZeroDigit, new Language.Repeat(AnyDigit, digits, null)]);
        return new Language.Choice([Naturals(whole + 1, BigInteger.Pow(10, digits) - 1), longer]);
    }

    private static (BigInteger Whole, string Fraction) Parts(decimal bound)
    {
        string[] parts = bound.ToString(CultureInfo.InvariantCulture).Split('.');
        return (BigInteger.Parse(parts[0], CultureInfo.InvariantCulture), parts.Length == 1 ? "" : parts[1].TrimEnd('0'));
    }

    /// <summary>An automaton that reads digits from the left and holds the remainder so far: state r + 1 after the first digit.</summary>
    private static StateTable Remainders(int divisor)
    {
        var table = new StateTable();
        for (int state = 0; state <= divisor; state++) table.Add(isFinal: state == 1);
        for (int state = 0; state <= divisor; state++)
            for (int digit = 0; digit <= 9; digit++)
                table.Connect(state, '0' + digit, '0' + digit, (Math.Max(state - 1, 0) * 10 + digit) % divisor + 1);
        return table;
    }
}
