using TorchSharp;
using static TorchSharp.torch;

namespace DiffusionGemma;

/// <summary>
/// The rows that are denoised together. Each has its own prompt, canvas and step; rows join and leave between passes, and one that is gone
/// costs nothing more.
/// </summary>
internal sealed class DenoisingBatch(DiffusionGemmaModel model) : IDisposable
{
    /// <summary>Prompts are encoded in pieces of so many tokens.</summary>
    private const int EncoderTokens = 1024;

    /// <summary>Tokens, padding included, of prompts that are encoded in one pass.</summary>
    private const int EncoderBatchTokens = 8192;

    /// <summary>A shorter common beginning is not worth a pass of its own.</summary>
    public const int LeastSharedPrefix = 64;

    private readonly KeyValueCache _cache = new(model.Config, model.Device, model.DType);
    private readonly CanvasPredictor _predictor = new(model);
    private readonly List<DenoisingRow> _rows = [];
    private Tensor? _conditioning;                                                                          // [rows,C,H]: expected embeddings under the last pass
    private (int[] Ids, IReadOnlyList<KeyValues> Layers)? _prefix;

    /// <summary>In the batch's own order, which changes as rows leave.</summary>
    public IReadOnlyList<DenoisingRow> Rows => _rows;

    /// <summary>Encodes prompts, and has their rows join.</summary>
    /// <param name="rows">Of like lengths, best; they join in this order.</param>
    /// <param name="sharedPrefix">What prompts begin with, those to come included; encoded once. Null: what it was.</param>
    public void Admit(IReadOnlyList<DenoisingRow> rows, int[]? sharedPrefix = null)
    {
        if (rows.Count == 0) return;
        using IDisposable quiet = no_grad();
        int first = _rows.Count;
        _rows.AddRange(rows);
        _cache.AddRows(rows.Count);
        if (sharedPrefix is { Length: >= LeastSharedPrefix } && !(_prefix?.Ids.AsSpan().SequenceEqual(sharedPrefix) ?? false)) SharePrefix(first, sharedPrefix);
        var unread = new List<int[]>();
        for (int i = 0; i < rows.Count; i++)
        {
            int[] prompt = rows[i].Prompt;
            bool shares = _prefix is { } prefix && prompt.Length > prefix.Ids.Length && prompt.AsSpan().StartsWith(prefix.Ids);
            if (shares) _cache.Load(first + i, _prefix!.Value.Layers, _prefix.Value.Ids.Length);
            unread.Add(shares ? prompt[_prefix!.Value.Ids.Length..] : prompt);
        }
        Encode(first, unread);
    }

    /// <summary>One decoder pass over all rows, each at its own step; every row takes what was predicted for it.</summary>
    /// <param name="noise">Draws for rows in the order in which they joined; null: each row its own.</param>
    /// <param name="watch">Told after the pass, row by row; null: nobody watches.</param>
    /// <param name="failed">Told of a row that cannot go on (its predictions are no numbers, its stop criterion threw); null: that is thrown.</param>
    public void Step(INoiseSource? noise = null, Action<DenoisingRow, DenoisingStep>? watch = null, Action<DenoisingRow, Exception>? failed = null)
    {
        using IDisposable quiet = no_grad();
        using var scope = NewDisposeScope();
        int rows = _rows.Count, canvas = model.Config.CanvasLength;

        // Decode: every canvas against its own row's cache, conditioned on what was predicted before.
        Tensor ids = tensor(_rows.SelectMany(row => row.Tokens.Select(id => (long)id)).ToArray(), device: model.Device).view(rows, canvas);
        Tensor starts = tensor(_cache.Lengths.Select(length => (long)length).ToArray(), device: model.Device);
        Tensor positions = starts.unsqueeze(-1) + arange(canvas, device: model.Device);
        Tensor conditioning = Conditioning(rows);
        var context = new PassContext(Pass.Decoder);
        Tensor embedded = model.Stack.SelfConditioning.Forward(
            model.Stack.Embed(ids, context), _rows.Exists(row => row.IsConditioned) ? conditioning : null, null, context);
        Tensor hidden = model.Stack.Run(embedded, positions, _cache.ForDecoder(), context, _cache.DecoderMask).Hidden;

        // Predict, settle what is surest, redraw the rest; keep what the next pass is conditioned on.
        _predictor.Predict(hidden, [.. _rows.Select(row => row.Temperature)], whole: noise is not null, chunk =>
        {
            int[][]? sampled = noise is null ? null : Host(noise.Sample(chunk.Probabilities()));
            int[][]? random = noise is null ? null : Host(noise.Canvas(rows, canvas, model.Config.VocabularySize));
            for (int i = 0; i < chunk.Rows; i++)
            {
                DenoisingRow row = _rows[chunk.First + i];
                if (row.Finished) continue;
                try
                {
                    DenoisingStep step = row.Take(chunk, i, sampled?[i], random?[i]);
                    watch?.Invoke(row, step);
                }
                catch (Exception e) when (failed is not null)
                {
                    failed(row, e);
                }
            }
            bool[] goOn = [.. Enumerable.Range(0, chunk.Rows).Select(i => !_rows[chunk.First + i].Finished)];
            if (!goOn.Contains(false)) conditioning.narrow(0, chunk.First, chunk.Rows).copy_(chunk.ExpectedEmbeddings(0, chunk.Rows));
            else
                for (int i = 0; i < chunk.Rows; i++)
                    if (goOn[i]) conditioning.narrow(0, chunk.First + i, 1).copy_(chunk.ExpectedEmbeddings(i, 1));
        });
    }

    /// <summary>Appends finished canvases to their rows' caches: the causal pass over what is now clean text.</summary>
    /// <param name="canvases">[C] a row; rows not named stay as they are.</param>
    public void Append(IReadOnlyDictionary<DenoisingRow, int[]> canvases)
    {
        using IDisposable quiet = no_grad();
        // Rows side by side and of one length go together.
        for (int first = 0; first < _rows.Count; first++)
        {
            var run = new List<int[]>();
            for (int i = first; i < _rows.Count && canvases.TryGetValue(_rows[i], out int[]? ids) && _cache.Lengths[i] == _cache.Lengths[first]; i++) run.Add(ids);
            if (run.Count == 0) continue;
            Encode(first, run);
            first += run.Count - 1;
        }
    }

    /// <summary>Has a row leave.</summary>
    public void Remove(DenoisingRow row)
    {
        int index = _rows.IndexOf(row), last = _rows.Count - 1;
        using IDisposable quiet = no_grad();
        using var scope = NewDisposeScope();
        if (index != last && _conditioning is not null && _rows[last].IsConditioned) _conditioning.narrow(0, index, 1).copy_(_conditioning.narrow(0, last, 1));
        _cache.Remove(index);
        _rows[index] = _rows[last];
        _rows.RemoveAt(last);
    }

    public void Dispose()
    {
        foreach (DenoisingRow row in _rows) row.Dispose();
        DropPrefix();
        _conditioning?.Dispose();
        _predictor.Dispose();
        _cache.Dispose();
    }

    /// <summary>[rows,C,H]; zero where a row has had no pass over its canvas.</summary>
    private Tensor Conditioning(int rows)
    {
        if (_conditioning is null || _conditioning.shape[0] < rows)
        {
            Tensor grown = zeros([rows, model.Config.CanvasLength, model.Config.HiddenSize], dtype: model.DType, device: model.Device);
            if (_conditioning is { } old)
            {
                grown.narrow(0, 0, old.shape[0]).copy_(old);
                old.Dispose();
            }
            _conditioning = grown.DetachFromDisposeScope();
        }
        for (int row = 0; row < rows; row++)
            if (!_rows[row].IsConditioned) _conditioning.narrow(0, row, 1).zero_();
        return _conditioning.narrow(0, 0, rows);
    }

    private void SharePrefix(int row, int[] prefix)
    {
        DropPrefix();
        EncodeTogether(row, [prefix]);
        _prefix = (prefix, _cache.Snapshot(row));
        _cache.Empty(row);
    }

    private void DropPrefix()
    {
        foreach (KeyValues layer in _prefix?.Layers ?? [])
        {
            layer.Keys.Dispose();
            layer.Values.Dispose();
        }
        _prefix = null;
    }

    /// <summary>Encodes tokens of rows from <paramref name="first"/> on, those of like lengths in one pass.</summary>
    private void Encode(int first, IReadOnlyList<int[]> unread)
    {
        for (int i = 0; i < unread.Count;)
        {
            int longest = unread[i].Length, shortest = longest, count = 1;
            for (; i + count < unread.Count && _cache.Lengths[first + i + count] == _cache.Lengths[first + i]; count++)
            {
                (longest, shortest) = (Math.Max(longest, unread[i + count].Length), Math.Min(shortest, unread[i + count].Length));
                if (longest > EncoderTokens || 4 * shortest < 3 * longest || longest * (count + 1) > EncoderBatchTokens) break;
            }
            EncodeTogether(first + i, [.. unread.Skip(i).Take(count)]);
            i += count;
        }
    }

    /// <summary>One causal pass over rows whose caches are of one length, padded on the right; a single row in pieces where it is long.</summary>
    private void EncodeTogether(int first, IReadOnlyList<int[]> unread)
    {
        int width = unread.Max(ids => ids.Length);
        for (int start = 0, piece; start < width; start += piece)
        {
            using var scope = NewDisposeScope();
            piece = unread.Count == 1 ? Math.Min(EncoderTokens, width - start) : width;
            long[] padded = [.. unread.SelectMany(ids => Enumerable.Range(start, piece).Select(i => i < ids.Length ? (long)ids[i] : model.Config.PadTokenId))];
            int[] lengths = [.. unread.Select(ids => Math.Min(ids.Length - start, piece))];
            int past = _cache.Lengths[first];
            Tensor positions = arange(past, past + piece, device: model.Device).unsqueeze(0);
            var context = new PassContext(Pass.Encoder);
            model.Stack.Run(
                model.Stack.Embed(tensor(padded, device: model.Device).view(unread.Count, piece), context), positions, _cache.ForEncoder(first, lengths), context,
                kind => _cache.EncoderMask(kind, first, piece), keysOnly: true);
            _cache.Advance(first, lengths);
        }
    }

    private static int[][] Host(Tensor ids)
    {
        using Tensor host = ids.to(ScalarType.Int32).cpu();
        return [.. host.data<int>().ToArray().Chunk((int)ids.shape[1])];
    }
}
