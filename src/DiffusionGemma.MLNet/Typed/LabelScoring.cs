namespace DiffusionGemma;

/// <summary>Ways to make the probabilities of labels.</summary>
public enum LabelScoring
{
    /// <summary>
    /// The mean over canvases of random tokens, of one decoder pass each: the model's belief before it settles (<see cref="LabelScorer"/>).
    /// </summary>
    RandomCanvases,

    /// <summary>The last pass of an ordinary answer: near 0 or 1, whether it is right or not.</summary>
    LastPass,
}
