using static TorchSharp.torch;

namespace DiffusionGemma.Benchmarks;

/// <summary>
/// transformers' denoising on the same operators: softmax, entropy and a draw over the whole vocabulary of every position in float32, the
/// cache concatenated anew in every layer and step, logits of all rows whole.
/// </summary>
internal sealed partial class ReferenceAlgorithm
{
    /// <summary>One canvas a row: [rows,C].</summary>
    public Tensor Generate(Tensor prompts, int steps, double bound, double tMin, double tMax)
    {
        using IDisposable quiet = no_grad();
        using var scope = NewDisposeScope();
        long rows = prompts.shape[0], length = prompts.shape[1], canvas = _config.CanvasLength;
        Tensor positions = arange(length).unsqueeze(0), canvasPositions = arange(length, length + canvas).unsqueeze(0);
        Tensor real = ones(1, length, dtype: ScalarType.Bool), whole = ones(1, canvas, dtype: ScalarType.Bool), start =
            full([1], length, dtype: ScalarType.Int64);
        List<KeyValues> cache = Run(
            Embed(prompts), positions, null, Pass.Encoder,
            kind => AttentionMasks.Encoder(kind, _config.SlidingWindow, positions, positions, real)).Fresh;
        Tensor tokens = randint(0, _config.VocabularySize, [rows, canvas]), best = tokens;
        Tensor? conditioning = null;
        for (int left = steps; left > 0; left--)
        {
            using var step = NewDisposeScope();
            Tensor? soft = conditioning is null ? null
                : nn.functional.linear(conditioning.softmax(-1).to(Table.dtype), Table.t()) * Math.Sqrt(_config.HiddenSize);
            Tensor hidden = Run(
                SelfCondition(Embed(tokens), soft), canvasPositions, cache, Pass.Decoder,
                kind => AttentionMasks.Decoder(kind, _config.SlidingWindow, start, positions, real, whole)).Hidden;
            Tensor logits = Logits(hidden) / (tMin + (tMax - tMin) * left / steps);
            Tensor sampled = logits.softmax(-1).view(-1, _config.VocabularySize).multinomial(1).view(rows, canvas);
            best = logits.argmax(-1);
            Tensor entropies = Entropy(logits);
            (Tensor sorted, Tensor order) = entropies.sort(-1);
            Tensor accepted = zeros_like(sorted, ScalarType.Bool).scatter(-1, order, sorted.cumsum(-1) - sorted <= bound);
            tokens = where(accepted, sampled, randint(0, _config.VocabularySize, [rows, canvas])).MoveToOuterDisposeScope();
            Entropy(logits).mean([-1]);                                                         // the stop rule's, computed anew there
            best = best.MoveToOuterDisposeScope();
            conditioning?.Dispose();
            conditioning = logits.MoveToOuterDisposeScope();
        }
        return best.MoveToOuterDisposeScope();
    }

    private static Tensor Entropy(Tensor logits)
    {
        Tensor logProbabilities = nn.functional.log_softmax(logits, -1);
        return -(logProbabilities.exp() * logProbabilities).sum(-1);
    }
}
