namespace DiffusionGemma.Samples;

/// <summary>A sentence, and the order that is to be read from it as JSON.</summary>
internal sealed class Sentence
{
    public string Text { get; set; } = "";

    public string Expected { get; set; } = "";
}
