namespace DiffusionGemma.Released;

/// <summary>Sizes of a run: the released model's, or fewer layers, experts and tokens of the same widths.</summary>
/// <param name="Layers">Layers; every sixth is a full one, and the last.</param>
/// <param name="Experts">Experts of a layer.</param>
/// <param name="Vocabulary">Entries of the embedding.</param>
/// <param name="Canvas">Tokens of a canvas.</param>
/// <param name="Row">Tokens of a training row.</param>
/// <param name="DenoisingSteps">Decoder passes of the answer.</param>
/// <param name="TrainingSteps">LoRA steps.</param>
internal sealed record ReleasedShape(int Layers, int Experts, int Vocabulary, int Canvas, int Row, int DenoisingSteps, int TrainingSteps)
{
    public const int Hidden = 2816, Dense = 2112, Expert = 704, Heads = 16, PromptTokens = 64;

    public static ReleasedShape Whole { get; } = new(30, 128, 262_144, 256, 512, 4, 3);

    /// <summary>For continuous integration: under a minute.</summary>
    public static ReleasedShape Cut { get; } = new(2, 16, 16_384, 32, 96, 2, 2);

    public bool IsFull(int layer) => layer % 6 == 5 || layer == Layers - 1;

    public long HeadDim(int layer) => IsFull(layer) ? 512 : 256;

    public long KeyValueHeads(int layer) => IsFull(layer) ? 2 : 8;
}
