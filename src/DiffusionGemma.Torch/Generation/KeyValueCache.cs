using TorchSharp;
using static TorchSharp.torch;

namespace DiffusionGemma;

/// <summary>
/// Keys and values of a batch of rows, for denoising: rows come and go, each with a length of its own. Buffers are allocated once and grow in
/// blocks; sliding layers keep no more than their window. No gradients.
/// </summary>
/// <remarks>
/// A layer's buffer [rows, kv, C + positions, D] has the canvas first, so that nothing moves when the cache behind it grows:
/// <code>
///           canvas     cache
/// row 0     c c c c    k k k k k k .      length 6
/// row 1     c c c c    k k k . . . .      length 3: the mask hides what is beyond
/// </code>
/// The decoder writes the canvas' keys and values in place and sees one view; nothing is concatenated. On sliding layers the cache part holds
/// the last window - 1 positions, in any place: positions are in the keys' rotation and need no order.
/// </remarks>
internal sealed class KeyValueCache : IDisposable
{
    /// <summary>Positions by which full-attention layers grow at least.</summary>
    private const int Block = 256;

    private readonly DiffusionGemmaConfig _config;
    private readonly Device _device;
    private readonly ScalarType _dtype;
    private readonly Layer[] _layers;
    private readonly List<int> _lengths = [];

    public KeyValueCache(DiffusionGemmaConfig config, Device device, ScalarType dtype)
    {
        (_config, _device, _dtype) = (config, device, dtype);
        _layers = [.. Enumerable.Range(0, config.NumHiddenLayers).Select(n => new Layer(this, config.Layer(n)))];
    }

    /// <summary>Positions that each row holds.</summary>
    public IReadOnlyList<int> Lengths => _lengths;

    /// <summary>What a full-attention layer holds of a row of so many positions.</summary>
    private int Kept(AttentionKind kind, int length) => kind == AttentionKind.Full ? length : Math.Min(length, _config.SlidingWindow - 1);

    /// <summary>Adds empty rows after the others.</summary>
    public void AddRows(int count) => _lengths.AddRange(Enumerable.Repeat(0, count));

    /// <summary>Removes a row; the last one takes its place.</summary>
    public void Remove(int row)
    {
        int last = _lengths.Count - 1;
        if (row != last)
            foreach (Layer layer in _layers) layer.Copy(last, row, _lengths[last]);
        _lengths[row] = _lengths[last];
        _lengths.RemoveAt(last);
    }

    /// <summary>A copy of one row's keys and values.</summary>
    public IReadOnlyList<KeyValues> Snapshot(int row) => [.. _layers.Select(layer => layer.Snapshot(row, _lengths[row]))];

    /// <summary>Fills an empty row with another's keys and values.</summary>
    public void Load(int row, IReadOnlyList<KeyValues> snapshot, int length)
    {
        for (int n = 0; n < _layers.Length; n++) _layers[n].Load(row, snapshot[n]);
        _lengths[row] = length;
    }

    /// <summary>Forgets what a row holds.</summary>
    public void Empty(int row) => _lengths[row] = 0;

    /// <summary>For an encoder pass over rows of one length: layers append what they are given to these rows.</summary>
    /// <param name="first">The first row.</param>
    /// <param name="newLengths">The new tokens of each row from there on; fewer than the pass' width where it is padded on the right.</param>
    public IReadOnlyList<KeyValues> ForEncoder(int first, IReadOnlyList<int> newLengths) =>
        [.. _layers.Select(layer => new EncoderRows(layer, first, _lengths[first], newLengths))];

    /// <summary>The mask [1,1,S,K] of such a pass: causal, and within the window on sliding layers. Padding on the right lies after every real token.</summary>
    public Tensor EncoderMask(AttentionKind kind, int first, int width)
    {
        using var scope = NewDisposeScope();
        int length = _lengths[first], kept = Kept(kind, length);
        Tensor queries = arange(length, length + width, device: _device), keys = arange(length - kept, length + width, device: _device);
        return AttentionMasks.Encoder(kind, _config.SlidingWindow, queries.unsqueeze(0), keys.unsqueeze(0), ones(1, kept + width, dtype: ScalarType.Bool, device: _device))
            .MoveToOuterDisposeScope();
    }

    /// <summary>Counts tokens of an encoder pass in, once every layer has appended them.</summary>
    public void Advance(int first, IReadOnlyList<int> newLengths)
    {
        for (int i = 0; i < newLengths.Count; i++) _lengths[first + i] += newLengths[i];
    }

    /// <summary>For a decoder pass over all rows: layers write the canvas in place and see it with the cache.</summary>
    public IReadOnlyList<KeyValues> ForDecoder() => [.. _layers.Select(layer => new CanvasRows(layer, _lengths.Count, Kept(layer.Kind, Longest)))];

    /// <summary>The mask [rows,1,C,K] of a decoder pass, or null where every row sees all: rows are of one length.</summary>
    public Tensor? DecoderMask(AttentionKind kind)
    {
        int canvas = _config.CanvasLength, rows = _lengths.Count, keys = canvas + Kept(kind, Longest);
        if (_lengths.All(length => Kept(kind, length) + canvas == keys)) return null;
        bool[] seen = new bool[rows * keys];
        for (int row = 0; row < rows; row++) seen.AsSpan(row * keys, canvas + Kept(kind, _lengths[row])).Fill(true);
        using var scope = NewDisposeScope();
        return tensor(seen, device: _device).view(rows, 1, 1, keys).expand(-1, 1, canvas, -1).MoveToOuterDisposeScope();
    }

    public void Dispose()
    {
        foreach (Layer layer in _layers) layer.Dispose();
    }

    private int Longest => _lengths.Count == 0 ? 0 : _lengths.Max();

    /// <summary>One layer's buffers.</summary>
    private sealed class Layer(KeyValueCache cache, LayerShape shape) : IDisposable
    {
        private Tensor? _keys;
        private Tensor? _values;

        public AttentionKind Kind => shape.Kind;

        public int Canvas => cache._config.CanvasLength;

        public int Kept(int length) => cache.Kept(Kind, length);

        /// <summary>Views [rows,kv,count,D] of the buffers' positions from <paramref name="start"/> on, canvas included.</summary>
        public KeyValues View(int first, int rows, int start, int count)
        {
            Reserve(cache._lengths.Count, start + count);
            return new KeyValues(_keys!.narrow(0, first, rows).narrow(2, start, count), _values!.narrow(0, first, rows).narrow(2, start, count));
        }

        public void Copy(int from, int to, int length)
        {
            using var scope = NewDisposeScope();
            Write(to, View(from, 1, Canvas, Kept(length)));
        }

        public KeyValues Snapshot(int row, int length)
        {
            using var scope = NewDisposeScope();
            KeyValues view = View(row, 1, Canvas, Kept(length));
            return new KeyValues(view.Keys.clone().DetachFromDisposeScope(), view.Values.clone().DetachFromDisposeScope());
        }

        public void Load(int row, KeyValues snapshot)
        {
            using var scope = NewDisposeScope();
            Write(row, snapshot);
        }

        /// <summary>Puts [1,kv,count,D] at the start of a row's cache.</summary>
        public void Write(int row, KeyValues rows)
        {
            KeyValues target = View(row, 1, Canvas, (int)rows.Keys.shape[2]);
            target.Keys.copy_(rows.Keys);
            target.Values.copy_(rows.Values);
        }

        public void Dispose()
        {
            _keys?.Dispose();
            _values?.Dispose();
        }

        private void Reserve(int rows, int positions)
        {
            long haveRows = _keys?.shape[0] ?? 0, have = _keys?.shape[2] ?? 0;
            if (rows <= haveRows && positions <= have) return;
            // Room for half as much again: as answers grow canvas by canvas, copies stay rare.
            long wanted = positions <= have ? have : Math.Max(positions, have + (have / 2));
            long full = Kind == AttentionKind.Full ? (wanted + Block - 1) / Block * Block : Canvas + cache._config.SlidingWindow - 1;
            long[] size = [Math.Max(rows, haveRows), shape.KeyValueHeads, Kind == AttentionKind.Full ? full : Math.Min(full, Math.Max(wanted, Canvas + Block)), shape.HeadDim];
            _keys = Grow(_keys, size);
            _values = Grow(_values, size);
        }

        private Tensor Grow(Tensor? old, long[] size)
        {
            using var scope = NewDisposeScope();
            // Zeros: what a mask hides still takes part in products, where uninitialised memory may hold a NaN.
            Tensor buffer = zeros(size, dtype: cache._dtype, device: cache._device);
            if (old is not null)
            {
                buffer.narrow(0, 0, old.shape[0]).narrow(2, 0, old.shape[2]).copy_(old);
                old.Dispose();
            }
            return buffer.DetachFromDisposeScope();
        }
    }

    /// <summary>The past of an encoder pass over some rows.</summary>
    private sealed record EncoderRows(Layer Layer, int First, int Length, IReadOnlyList<int> NewLengths) : KeyValues(null!, null!)
    {
        public override KeyValues Append(KeyValues newer)
        {
            int rows = NewLengths.Count, width = (int)newer.Keys.shape[2], kept = Layer.Kept(Length);
            if (Layer.Kind == AttentionKind.Full)
            {
                KeyValues room = Layer.View(First, rows, Layer.Canvas + Length, width);
                room.Keys.copy_(newer.Keys);
                room.Values.copy_(newer.Values);
                return Layer.View(First, rows, Layer.Canvas, Length + width);
            }
            KeyValues seen = kept == 0 ? newer : Layer.View(First, rows, Layer.Canvas, kept).Concatenate(newer);
            for (int row = 0; row < rows; row++)
            {
                int total = kept + NewLengths[row], keep = Layer.Kept(Length + NewLengths[row]);
                Layer.Write(First + row, new KeyValues(
                    seen.Keys.narrow(0, row, 1).narrow(2, total - keep, keep), seen.Values.narrow(0, row, 1).narrow(2, total - keep, keep)));
            }
            return seen;
        }
    }

    /// <summary>The past of a decoder pass over all rows.</summary>
    private sealed record CanvasRows(Layer Layer, int Rows, int Kept) : KeyValues(null!, null!)
    {
        public override KeyValues Append(KeyValues newer)
        {
            KeyValues canvas = Layer.View(0, Rows, 0, Layer.Canvas);
            canvas.Keys.copy_(newer.Keys);
            canvas.Values.copy_(newer.Values);
            return Layer.View(0, Rows, 0, Layer.Canvas + Kept);
        }
    }
}
