using System.Runtime.Intrinsics;

namespace DiffusionGemma;

/// <summary>
/// A vector register of float32 numbers. Kernels are written once over it and specialised by the JIT for each width, tile shapes included:
/// what differs between processors is a member of this interface and nothing else.
/// </summary>
/// <typeparam name="T">The implementing struct.</typeparam>
internal unsafe interface ILanes<T>
    where T : struct, ILanes<T>
{
    /// <summary>True where this processor has such registers and fused multiply-add on them.</summary>
    static abstract bool IsSupported { get; }

    /// <summary>Numbers of a register.</summary>
    static abstract int Count { get; }

    /// <summary>
    /// True where there are 32 registers: a product's tile then takes eight rows of two registers, of 16 registers six rows of two.
    /// </summary>
    static abstract bool HasManyRegisters { get; }

    static abstract T Load(float* address);

    static abstract T Create(float value);

    /// <summary>a b + c, rounded once.</summary>
    static abstract T MultiplyAdd(T a, T b, T c);

    /// <summary>The smaller of each pair; b where either is not a number, or not a number.</summary>
    static abstract T Min(T a, T b);

    /// <summary>The larger of each pair; b where either is not a number, or not a number.</summary>
    static abstract T Max(T a, T b);

    /// <summary>To the nearest integer, ties to even.</summary>
    static abstract T Round(T a);

    /// <summary>a · 2ⁿ, rounded once, for integers n of at most 151 either way.</summary>
    static abstract T Scale(T a, T n);

    /// <summary>Selects in each lane <paramref name="then"/> where a > b, else <paramref name="otherwise"/>.</summary>
    static abstract T WhereGreater(T a, T b, T then, T otherwise);

    /// <summary>The sums over the lanes of four registers.</summary>
    static abstract Vector128<float> Sums(T a, T b, T c, T d);

    void Store(float* address);

    float Sum();

    static abstract T operator +(T a, T b);

    static abstract T operator -(T a, T b);

    static abstract T operator -(T a);

    static abstract T operator *(T a, T b);

    static abstract T operator /(T a, T b);
}
