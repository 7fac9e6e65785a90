namespace DiffusionGemma.Samples;

/// <summary>Synthetic tickets of our own; some words stand in tickets of several kinds.</summary>
internal static class Tickets
{
    public static readonly string[] Labels = ["billing", "delivery", "returns", "account", "other"];

    private static readonly string[][] Cores =
    [
        ["I was charged twice", "the bill is wrong", "my card was refused", "the price is not what you said", "I paid and see no order"],
        ["my order is late", "the box did not come", "where is my order", "the order went to a wrong place", "it came two days late"],
        ["the cup is broken", "I want my money back", "the lamp does not work", "it is the wrong color", "how do I send it back"],
        ["I cannot log in", "change my name", "my mail is new", "delete all you have of me", "I lost my word to log in"],
        ["are you open today", "do you sell pens", "thank you for the help", "I have an idea for you", "is there a shop near me"],
    ];

    private static readonly string[] Openings = ["Hello, ", "Hi, ", "Please help: ", "", "Again, "];

    private static readonly string[] Endings =
        ["", ".", " and I need it today.", ", thank you.", ". It was for a red lamp.", ". I paid by card."];

    /// <summary>Tickets, the same for the same seed.</summary>
    /// <param name="seed">The seed.</param>
    /// <param name="count">Their number.</param>
    /// <param name="wrong">The share of them that have another kind than their words say, as real labels have.</param>
    public static IEnumerable<Ticket> Make(int seed, int count, double wrong)
    {
        var random = new Random(seed);
        for (int i = 0; i < count; i++)
        {
            int kind = random.Next(Labels.Length), said = random.NextDouble() < wrong ? random.Next(Labels.Length) : kind;
            string text = Openings[random.Next(Openings.Length)] + Cores[kind][random.Next(Cores[kind].Length)]
                + Endings[random.Next(Endings.Length)];
            yield return new Ticket { Text = text, Kind = Labels[said] };
        }
    }
}
