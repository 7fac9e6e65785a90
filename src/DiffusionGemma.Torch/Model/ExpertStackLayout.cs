namespace DiffusionGemma;

/// <summary>
/// The layout in which PEFT stored the low-rank pairs of expert stacks (<c>target_parameters</c>). The two are each other's transposes.
/// </summary>
public enum ExpertStackLayout
{
    /// <summary>PEFT up to 0.19.0: A is [E·r, out], B is [in, r·E].</summary>
    BeforePeft0191,

    /// <summary>PEFT from 0.19.1 on, and this library: A is [E·r, in], B is [out, r·E].</summary>
    SincePeft0191,
}
