using Microsoft.ML;

namespace DiffusionGemma.Typed;

/// <summary>A few texts to read orders from.</summary>
internal static class Orders
{
    public static IDataView View(MLContext ml) => ml.Data.LoadFromEnumerable<Row>(
    [
        new() { Source = "two red pens for Ada", Truth = "tools" },
        new() { Source = "a green ball, please hurry", Truth = "toys" },
        new() { Source = "seven apples", Truth = "food" },
    ]);

    internal sealed class Row
    {
        public string Source { get; set; } = "";

        public string Truth { get; set; } = "";
    }
}
