using System.Globalization;

namespace DiffusionGemma.Samples;

/// <summary>Synthetic sentences of our own, with the orders that they speak of.</summary>
internal static class OrderSentences
{
    private static readonly string[] Openings = ["Please send", "We need", "I want", "Order", "Can I have"];
    private static readonly string[] Hurries = [" today", ", it is urgent", " as soon as you can"];

    /// <summary>Sentences with their orders, the same for the same seed.</summary>
    public static IEnumerable<(string Text, Order Order)> Make(int seed, int count)
    {
        var random = new Random(seed);
        for (int i = 0; i < count; i++)
        {
            var order = new Order
            {
                Item = (Product)random.Next(4),
                Count = (byte)random.Next(2, 20),
                Color = random.Next(3) == 0 ? null : (Paint)random.Next(3),
                Urgent = random.Next(3) == 0,
                Price = random.Next(2) == 0 ? null : random.Next(1, 20) / 2.0,
            };
            string color = order.Color is { } paint ? $"{paint} ".ToLowerInvariant() : "";
            string item = $"{order.Item}s".ToLowerInvariant();
            string price = order.Price is { } each ? $" for {each.ToString(CultureInfo.InvariantCulture)} each" : "";
            string hurry = order.Urgent ? Hurries[random.Next(Hurries.Length)] : "";
            yield return ($"{Openings[random.Next(Openings.Length)]} {order.Count} {color}{item}{price}{hurry}.", order);
        }
    }
}
