using static TorchSharp.torch;

namespace DiffusionGemma;

/// <summary>
/// The tensors of some rows of a global batch, padded on the right; of each row only the drawn canvas is decoded. Which tokens are real and
/// which are scored is known on the host, so that no pass reads it back from the device.
/// <code>
/// canvas 4, block 1 drawn     clean    p p p r r r r R R R R     InputIds, seen by the encoder
///                             noised   . . . . . . . R x R y     CanvasIds, seen by the decoder from Starts = 7 on
/// </code>
/// </summary>
/// <param name="InputIds">[B,S] int64.</param>
/// <param name="AttentionMask">[B,S] bool, false = padding.</param>
/// <param name="Starts">[B] int64: the position of each row's canvas.</param>
/// <param name="CanvasIds">[B,C] int64.</param>
/// <param name="CanvasTargets">[B,C] int64.</param>
/// <param name="CanvasMask">[B,C] bool, false = beyond the end of a shorter canvas.</param>
internal sealed record MicroBatch(
    Tensor InputIds, Tensor AttentionMask, Tensor Starts, Tensor CanvasIds, Tensor CanvasTargets, Tensor CanvasMask)
{
    /// <summary>[n] int64: the rows whose scored pass is conditioned on a first one; null: all.</summary>
    public Tensor? ConditionedRows { get; private init; }

    /// <summary>[n] int64: the places among B·S that are no padding; null: all.</summary>
    public Tensor? RealTokens { get; private init; }

    /// <summary>[n] int64: the places among B·C that are no padding; null: all.</summary>
    public Tensor? RealCanvas { get; private init; }

    /// <summary><see cref="RealCanvas"/> of the conditioned rows alone, among their places.</summary>
    public Tensor? RealConditionedCanvas { get; private init; }

    /// <summary>[n] int64: the places among B·C that are scored.</summary>
    public required Tensor Supervised { get; init; }

    /// <summary>[n] int64: the places among B·(S-1) whose next token is scored.</summary>
    public required Tensor Pairs { get; init; }

    /// <summary>The micro-batch of a rank without rows: one pad token and a canvas of one, unscored.</summary>
    public static MicroBatch Idle(int padId, Device device)
    {
        Tensor ids = full([1, 1], padId, dtype: ScalarType.Int64, device: device), all = ones(1, 1, dtype: ScalarType.Bool, device: device);
        Tensor none = empty(0, dtype: ScalarType.Int64, device: device);
        return new MicroBatch(ids, all, ones(1, dtype: ScalarType.Int64, device: device), ids, ids, all)
        {
            ConditionedRows = none, Supervised = none, Pairs = none,
        };
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

        long[] ids = new long[rows * length], canvasIds = new long[rows * canvas], targets = new long[rows * canvas];
        List<long> tokens = [], inCanvas = [], supervised = [], pairs = [], conditioned = [], inConditioned = [];
        for (int b = 0; b < rows; b++)
        {
            (TrainingExample example, ExampleDraw draw) = (examples[b], draws[b]);
            for (int i = 0; i < length; i++)
            {
                bool isReal = i < example.InputIds.Length;
                ids[b * length + i] = isReal ? example.InputIds[i] : padId;
                if (isReal) tokens.Add(b * length + i);
                if (isReal && i > 0) pairs.Add(b * (length - 1) + i - 1);
            }
            for (int j = 0; j < canvas; j++)
            {
                bool isReal = j < sizes[b];
                int at = starts[b] + j, place = b * canvas + j;
                canvasIds[place] = isReal ? draw.CorruptedIds[at] : padId;
                targets[place] = isReal ? example.InputIds[at] : padId;
                if (!isReal) continue;
                inCanvas.Add(place);
                if (draw.SelfConditioned) inConditioned.Add(conditioned.Count * canvas + j);
                if (example.LossMask[at]) supervised.Add(place);
            }
            if (draw.SelfConditioned) conditioned.Add(b);
        }
        var copy = new PackedCopy();
        copy.Add(ids, rows, length);
        copy.Add([.. examples.SelectMany(e => Enumerable.Range(0, length).Select(i => i < e.InputIds.Length ? 1L : 0))], rows, length);
        copy.Add([.. starts.Select(start => (long)start)], rows);
        copy.Add(canvasIds, rows, canvas);
        copy.Add(targets, rows, canvas);
        copy.Add([.. sizes.SelectMany(size => Enumerable.Range(0, canvas).Select(j => j < size ? 1L : 0))], rows, canvas);
        foreach (List<long> places in new[] { conditioned, tokens, inCanvas, inConditioned, supervised, pairs })
            copy.Add(places, places.Count);
        Tensor[] sent = copy.Send(device);
        return new MicroBatch(sent[0], sent[1].to(ScalarType.Bool), sent[2], sent[3], sent[4], sent[5].to(ScalarType.Bool))
        {
            ConditionedRows = conditioned.Count == rows ? null : sent[6],
            RealTokens = tokens.Count == ids.Length ? null : sent[7],
            RealCanvas = inCanvas.Count == targets.Length ? null : sent[8],
            RealConditionedCanvas = inConditioned.Count == conditioned.Count * canvas ? null : sent[9],
            Supervised = sent[10],
            Pairs = sent[11],
        };
    }
}
