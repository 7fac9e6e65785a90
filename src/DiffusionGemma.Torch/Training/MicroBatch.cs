using static TorchSharp.torch;

namespace DiffusionGemma;

/// <summary>
/// The tensors of some rows of a global batch, padded on the right; of each row only the drawn canvas is decoded.
/// <code>
/// canvas 4, block 1 drawn     clean    p p p r r r r R R R R     InputIds, seen by the encoder
///                             noised   . . . . . . . R x R y     CanvasIds, seen by the decoder from Starts = 7 on
/// </code>
/// </summary>
internal sealed record MicroBatch(
    Tensor InputIds, Tensor AttentionMask, Tensor Starts, Tensor CanvasIds, Tensor CanvasTargets, Tensor CanvasMask, Tensor Supervised,
    Tensor? ConditionedRows)
{
    /// <summary>The micro-batch of a rank without rows: one pad token and a canvas of one, unscored.</summary>
    public static MicroBatch Idle(int padId, Device device)
    {
        Tensor ids = full([1, 1], padId, dtype: ScalarType.Int64, device: device), all = ones(1, 1, dtype: ScalarType.Bool, device: device);
        return new MicroBatch(
            ids, all, ones(1, dtype: ScalarType.Int64, device: device), ids, ids, all, zeros_like(all),
            empty(0, dtype: ScalarType.Int64, device: device));
    }

    /// <param name="examples">The micro-batch's rows.</param>
    /// <param name="draws">Their draws.</param>
    /// <param name="canvasLength">Tokens a canvas.</param>
    /// <param name="padId">The token that fills shorter rows; masked.</param>
    /// <param name="device">Where the tensors go.</param>
    public static MicroBatch Build(
        IReadOnlyList<TrainingExample> examples, IReadOnlyList<ExampleDraw> draws, int canvasLength, int padId, Device device)
    {
        int rows = examples.Count, length = examples.Max(e => e.InputIds.Length);
        int[] starts = [.. examples.Zip(draws, (e, d) => e.PrefixLength + d.Block * canvasLength)];
        int[] sizes = [.. examples.Zip(starts, (e, start) => Math.Min(canvasLength, e.InputIds.Length - start))];
        int canvas = sizes.Max();

        long[,] ids = new long[rows, length], canvasIds = new long[rows, canvas], targets = new long[rows, canvas];
        bool[,] attended = new bool[rows, length], inCanvas = new bool[rows, canvas], supervised = new bool[rows, canvas];
        for (int b = 0; b < rows; b++)
        {
            for (int i = 0; i < length; i++)
            {
                attended[b, i] = i < examples[b].InputIds.Length;
                ids[b, i] = attended[b, i] ? examples[b].InputIds[i] : padId;
            }
            for (int j = 0; j < canvas; j++)
            {
                inCanvas[b, j] = j < sizes[b];
                int at = starts[b] + j;
                canvasIds[b, j] = inCanvas[b, j] ? draws[b].CorruptedIds[at] : padId;
                targets[b, j] = inCanvas[b, j] ? examples[b].InputIds[at] : padId;
                supervised[b, j] = inCanvas[b, j] && examples[b].LossMask[at];
            }
        }
        long[] conditioned = [.. Enumerable.Range(0, rows).Where(b => draws[b].SelfConditioned).Select(b => (long)b)];
        return new MicroBatch(
            tensor(ids, device: device), tensor(attended, device: device), tensor(Array.ConvertAll(starts, s => (long)s), device: device),
            tensor(canvasIds, device: device), tensor(targets, device: device), tensor(inCanvas, device: device),
            tensor(supervised, device: device),
            conditioned.Length == rows ? null : tensor(conditioned, dtype: ScalarType.Int64, device: device));
    }
}
