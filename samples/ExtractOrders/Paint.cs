namespace DiffusionGemma.Samples;

/// <summary>A color that may be asked for.</summary>
internal enum Paint
{
    Red,
    Green,
    Blue,
}
