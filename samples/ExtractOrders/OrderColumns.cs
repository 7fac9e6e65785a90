using Microsoft.ML.Data;

namespace DiffusionGemma.Samples;

/// <summary>The columns that an order becomes.</summary>
internal sealed class OrderColumns
{
    public string Text { get; set; } = "";

    [KeyType(4)]
    public uint Item { get; set; }

    public long Count { get; set; }

    [KeyType(3)]
    public uint Color { get; set; }

    public bool Urgent { get; set; }

    public double Price { get; set; }
}
