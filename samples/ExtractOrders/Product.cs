namespace DiffusionGemma.Samples;

/// <summary>What can be ordered.</summary>
internal enum Product
{
    Pen,
    Cup,
    Lamp,
    Book,
}
