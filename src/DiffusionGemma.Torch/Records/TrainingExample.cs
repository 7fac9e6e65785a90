namespace DiffusionGemma;

/// <summary>One packed row; padding is not stored.</summary>
/// <param name="InputIds">Prompt, response and EOS fill: [L].</param>
/// <param name="LossMask">[L], true = supervised. From <paramref name="PrefixLength"/> on, whole canvases (but for a cut at the maximum
/// length).</param>
/// <param name="PrefixLength">Index of the first supervised token: where the first canvas starts.</param>
/// <param name="PaddedLength">L and the padding that would follow it; it enters the random draws.</param>
public sealed record TrainingExample(int[] InputIds, bool[] LossMask, int PrefixLength, int PaddedLength)
{
    /// <summary>Canvases of the response, the last of them perhaps shorter.</summary>
    public int CanvasCount(int canvasLength) => (InputIds.Length - PrefixLength + canvasLength - 1) / canvasLength;
}
