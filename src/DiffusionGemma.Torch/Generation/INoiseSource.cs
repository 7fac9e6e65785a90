using static TorchSharp.torch;

namespace DiffusionGemma;

/// <summary>
/// Supplies all that is random in denoising. A run asks in this order: a canvas to start from; then after every decoder pass a sample, and
/// a canvas whose tokens replace what the sampler did not accept. A test replays a recorded source.
/// </summary>
public interface INoiseSource
{
    /// <summary>Draws uniform random tokens: the start of a canvas, and replacements of its rejected tokens.</summary>
    /// <param name="rows">Rows of the batch.</param>
    /// <param name="canvasLength">C.</param>
    /// <param name="vocabularySize">Number of tokens to draw from.</param>
    /// <returns>[rows,C] int64.</returns>
    Tensor Canvas(int rows, int canvasLength, int vocabularySize);

    /// <summary>Samples one token a position from its distribution.</summary>
    /// <param name="probabilities">[rows,C,V], at least float32.</param>
    /// <returns>[rows,C] int64.</returns>
    Tensor Sample(Tensor probabilities);

    /// <summary>
    /// Draws uniform numbers for rows whose answer follows a grammar: their proposals are sampled from left to right, by inverse transform
    /// sampling.
    /// </summary>
    /// <param name="rows">Rows of the batch.</param>
    /// <param name="canvasLength">C.</param>
    /// <returns>[rows,C] float64, in [0,1). The default draws from PyTorch's global generator.</returns>
    Tensor Uniforms(int rows, int canvasLength) => rand(rows, canvasLength, dtype: ScalarType.Float64, device: CPU);
}
