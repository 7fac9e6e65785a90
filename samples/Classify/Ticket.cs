namespace DiffusionGemma.Samples;

/// <summary>A ticket and its kind.</summary>
internal sealed class Ticket
{
    public string Text { get; set; } = "";

    public string Kind { get; set; } = "";
}
