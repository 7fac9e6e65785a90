namespace DiffusionGemma.Samples;

/// <summary>The fields that are read from a sentence.</summary>
internal sealed class Order
{
    public required Product Item { get; init; }

    public required byte Count { get; init; }

    public Paint? Color { get; init; }

    public required bool Urgent { get; init; }

    public double? Price { get; init; }
}
