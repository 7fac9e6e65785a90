namespace DiffusionGemma.Jinja;

/// <summary>A template that cannot be read, or that fails on its input.</summary>
internal class TemplateException(string message) : Exception(message)
{
    /// <summary>The template's line, counted from 1, once it is known.</summary>
    public int? Line { get; set; }

    /// <summary>True if the template called raise_exception: the message is the template's own.</summary>
    public bool IsRaisedByTemplate { get; init; }
}
