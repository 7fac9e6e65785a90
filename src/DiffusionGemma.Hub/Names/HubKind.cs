namespace DiffusionGemma;

/// <summary>The kinds of repository on the Hub that this library reads.</summary>
public enum HubKind
{
    /// <summary>A model: <c>org/name</c>.</summary>
    Model,

    /// <summary>A data set: <c>datasets/org/name</c>.</summary>
    Dataset,
}
