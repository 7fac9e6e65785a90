namespace DiffusionGemma.Samples;

/// <summary>The things that can be ordered.</summary>
internal enum Product
{
    Pen,
    Cup,
    Lamp,
    Book,
}
