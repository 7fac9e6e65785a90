namespace DiffusionGemma.Typed;

/// <summary>A value of every kind that becomes a column, and some that do not.</summary>
public sealed class Order
{
    public enum Color
    {
        Red,
        Green,
    }

    public required Item Item { get; init; }

    public required int Count { get; init; }

    public required bool IsUrgent { get; init; }

    public required Color Paint { get; init; }

    public int? Discount { get; init; }

    public float? Weight { get; init; }
}

/// <summary>A nested object.</summary>
public sealed class Item
{
    public required byte Code { get; init; }

    public bool? IsNew { get; init; }
}
