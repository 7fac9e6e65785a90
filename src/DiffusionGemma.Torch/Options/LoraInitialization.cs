namespace DiffusionGemma;

/// <summary>Initialisation of a new adapter's A; B starts at zero, so that training starts from the base model.</summary>
public enum LoraInitialization
{
    /// <summary>Uniform within ±1/√in (Kaiming with a = √5): PEFT's.</summary>
    KaimingUniform,

    /// <summary>Normal with variance 2 / (in + rank): NeMo AutoModel's.</summary>
    XavierNormal,
}
