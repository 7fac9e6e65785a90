namespace DiffusionGemma;

/// <summary>
/// Seeds of the random streams, one generator each (PyTorch's CPU generator, mt19937): functions of the run's seed and of what is drawn
/// alone, so that runs on other devices, in other micro-batches, or resumed make the same draws.
/// </summary>
internal static class Seeds
{
    /// <summary>The seed where neither the options nor an MLContext name one: NeMo AutoModel's.</summary>
    public const int Default = 42;

    // NeMo AutoModel's DiffusionGemmaSFTRecipe keeps streams apart by multiples of 2^42.
    private const long Stream = 1L << 42;
    private const long ExampleStride = 2654435761, StepStride = 7919;

    /// <summary>Order of an epoch's rows (NeMo AutoModel): seed + epoch.</summary>
    public static ulong Epoch(long seed, int epoch) => unchecked((ulong)(seed + epoch));

    /// <summary>Corruption of an example (NeMo AutoModel): (seed + 2·2⁴² + 2654435761 (step · G + index)) mod 2⁶³.</summary>
    /// <param name="seed">The run's seed.</param>
    /// <param name="step">Optimiser steps before this one.</param>
    /// <param name="index">The example's index in the global batch.</param>
    /// <param name="globalBatchSize">G.</param>
    public static ulong Corruption(long seed, long step, int index, int globalBatchSize) =>
        unchecked((ulong)((seed + 2 * Stream + ExampleStride * (step * globalBatchSize + index)) & long.MaxValue));

    /// <summary>The canvas of an example that is scored (NeMo AutoModel): seed + 7919 step + index + 2⁴².</summary>
    public static ulong Canvas(long seed, long step, int index) => unchecked((ulong)(seed + StepStride * step + index + Stream));

    /// <summary>An example's self-conditioning coin (NeMo AutoModel): seed + 7919 step + index.</summary>
    public static ulong SelfConditioning(long seed, long step, int index) => unchecked((ulong)(seed + StepStride * step + index));

    /// <summary>Held-out example (this library): as <see cref="Corruption"/>, in a stream of its own and the same at every step.</summary>
    public static ulong HeldOut(long seed, int index) => unchecked((ulong)((seed + 3 * Stream + ExampleStride * index) & long.MaxValue));

    /// <summary>A new adapter's A matrices (PEFT's and NeMo AutoModel's initialisations, drawn from the seed itself).</summary>
    public static ulong Adapter(long seed) => unchecked((ulong)seed);

    /// <summary>LoRA dropout of one pass over a micro-batch (this library): seed + 104729 step + first row + 2⁴⁰ pass.</summary>
    public static long Dropout(long seed, long step, int firstRow, int pass) =>
        unchecked(seed + 104_729L * step + firstRow + ((long)pass << 40));
}
