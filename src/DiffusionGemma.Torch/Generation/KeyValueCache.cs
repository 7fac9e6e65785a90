using TorchSharp;
using static TorchSharp.torch;

namespace DiffusionGemma;

/// <summary>
/// Keys and values of a batch of rows for denoising. Rows join and leave, each with a length of its own. Buffers are allocated once and
/// grow in blocks; sliding layers keep no more than their window. No gradients.
/// </summary>
/// <remarks>
/// A layer's buffer [rows, kv, C + positions, D] has the canvas first, so that nothing moves when the cache behind it grows:
/// <code>
///           canvas     cache
/// row 0     c c c c    k k k k k k .      length 6
/// row 1     c c c c    k k k . . . .      length 3: the mask hides the rest
/// </code>
/// The decoder writes the canvas's keys and values in place and attends to one view; nothing is concatenated. On sliding layers the cache
/// part holds the last window - 1 positions, in any order: the keys' rotation carries their positions.
/// </remarks>
internal sealed class KeyValueCache : IDisposable
{
    /// <summary>Fewest positions by which full-attention layers grow.</summary>
    private const int Block = 256;

    private readonly DiffusionGemmaConfig _config;
    private readonly Device _device;
    private readonly ScalarType _dtype;
    private readonly Layer[] _layers;
    private readonly List<int> _lengths = [];
    private (int First, IReadOnlyList<int> NewLengths) _appending = (0, []);

    public KeyValueCache(DiffusionGemmaConfig config, Device device, ScalarType dtype)
    {
        (_config, _device, _dtype) = (config, device, dtype);
        _layers = [.. Enumerable.Range(0, config.NumHiddenLayers).Select(n => new Layer(this, config.Layer(n)))];
    }

    /// <summary>Positions that each row holds.</summary>
    public IReadOnlyList<int> Lengths => _lengths;

    /// <summary>One cache a layer.</summary>
    public IReadOnlyList<ILayerCache> Layers => _layers;

    /// <summary>Counts the positions that a layer holds of a row of some length.</summary>
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

    /// <summary>Copies one row's keys and values, a pair a layer; the caller disposes them.</summary>
    public IReadOnlyList<KeyValues> Snapshot(int row) => [.. _layers.Select(layer => layer.Snapshot(row, _lengths[row]))];

    /// <summary>Fills an empty row with the keys and values of a snapshot.</summary>
    public void Load(int row, IReadOnlyList<KeyValues> snapshot, int length)
    {
        for (int n = 0; n < _layers.Length; n++) _layers[n].Load(row, snapshot[n]);
        _lengths[row] = length;
    }

    /// <summary>Removes all positions of a row.</summary>
    public void Clear(int row) => _lengths[row] = 0;

    /// <summary>
    /// Begins an encoder pass over rows of one length: <see cref="Layers"/> append to these rows until <see cref="EndAppend"/>.
    /// </summary>
    /// <param name="first">The first row.</param>
    /// <param name="newLengths">New tokens of each row from there on; fewer than the width of the pass where it is padded on the
    /// right.</param>
    public void BeginAppend(int first, IReadOnlyList<int> newLengths) => _appending = (first, newLengths);

    /// <summary>Ends an encoder pass: counts the new tokens, which every layer has appended.</summary>
    public void EndAppend()
    {
        (int first, IReadOnlyList<int> newLengths) = _appending;
        for (int i = 0; i < newLengths.Count; i++) _lengths[first + i] += newLengths[i];
        _appending = (0, []);
    }

    /// <summary>
    /// Returns the mask [1,1,S,K] of the encoder pass that was begun: causal, and within the window on sliding layers. Padding on the right
    /// lies after every real token.
    /// </summary>
    public Tensor EncoderMask(AttentionKind kind, int width)
    {
        using var scope = NewDisposeScope();
        int length = _lengths[_appending.First], kept = Kept(kind, length);
        Tensor queries = arange(length, length + width, device: _device), keys = arange(length - kept, length + width, device: _device);
        Tensor real = ones(1, kept + width, dtype: ScalarType.Bool, device: _device);
        return AttentionMasks.Encoder(kind, _config.SlidingWindow, queries.unsqueeze(0), keys.unsqueeze(0), real).MoveToOuterDisposeScope();
    }

    /// <summary>
    /// Returns the mask [rows,1,C,K] of a decoder pass over all rows; null where rows are of one length, or attend apart, and see all.
    /// </summary>
    public Tensor? DecoderMask(AttentionKind kind)
    {
        if (AttendsInParts) return null;
        int canvas = _config.CanvasLength, rows = _lengths.Count, keys = canvas + Kept(kind, Longest);
        if (_lengths.All(length => Kept(kind, length) + canvas == keys)) return null;
        bool[] seen = new bool[rows * keys];
        for (int row = 0; row < rows; row++) seen.AsSpan(row * keys, canvas + Kept(kind, _lengths[row])).Fill(true);
        using var scope = NewDisposeScope();
        return HostCopy.Send(tensor(seen, device: CPU), _device).view(rows, 1, 1, keys).expand(-1, 1, canvas, -1).MoveToOuterDisposeScope();
    }

    public void Dispose()
    {
        foreach (Layer layer in _layers) layer.Dispose();
    }

    /// <summary>
    /// On a CPU libtorch's sums depend on the number of keys, those that a mask hides included. Elsewhere more calls would take longer.
    /// </summary>
    private bool AttendsInParts => _device.type == DeviceType.CPU;

    private int Longest => _lengths.Count == 0 ? 0 : _lengths.Max();

    /// <summary>One layer's buffers.</summary>
    private sealed class Layer(KeyValueCache cache, LayerShape shape) : ILayerCache, IDisposable
    {
        private Tensor? _keys;
        private Tensor? _values;

        private int Canvas => cache._config.CanvasLength;

        /// <inheritdoc/>
        public KeyValues Append(KeyValues fresh)
        {
            (int first, IReadOnlyList<int> newLengths) = cache._appending;
            int rows = newLengths.Count, length = cache._lengths[first], width = (int)fresh.Keys.shape[2], kept = Kept(length);
            if (shape.Kind == AttentionKind.Full)
            {
                KeyValues room = View(first, rows, Canvas + length, width);
                room.Keys.copy_(fresh.Keys);
                room.Values.copy_(fresh.Values);
                return View(first, rows, Canvas, length + width);
            }
            KeyValues seen = kept == 0 ? fresh : View(first, rows, Canvas, kept).Concatenate(fresh);
            for (int row = 0; row < rows; row++)
            {
                int total = kept + newLengths[row], keep = Kept(length + newLengths[row]);
                Tensor Last(Tensor all) => all.narrow(0, row, 1).narrow(2, total - keep, keep);
                Write(first + row, new KeyValues(Last(seen.Keys), Last(seen.Values)));
            }
            return seen;
        }

        /// <summary>Writes the canvases of all rows in front of their cached positions, and returns a view of both.</summary>
        public KeyValues Join(KeyValues canvas)
        {
            int rows = cache._lengths.Count;
            KeyValues place = View(0, rows, 0, Canvas);
            place.Keys.copy_(canvas.Keys);
            place.Values.copy_(canvas.Values);
            return View(0, rows, 0, Canvas + Kept(cache.Longest));
        }

        /// <inheritdoc/>
        public IReadOnlyList<AttentionPart>? PartsOf(Pass pass) =>
            !cache.AttendsInParts ? null : [.. pass == Pass.Encoder ? EncoderParts() : DecoderParts()];

        /// <summary>
        /// Blocks of queries between multiples of <see cref="Attention.PositionBlock"/>, each with the keys that one of them sees: the same
        /// however many tokens a pass has.
        /// </summary>
        private IEnumerable<AttentionPart> EncoderParts()
        {
            (int first, IReadOnlyList<int> newLengths) = cache._appending;
            int length = cache._lengths[first], origin = length - Kept(length);
            for (int row = 0, rows; row < newLengths.Count; row += rows)
            {
                int added = newLengths[row];
                rows = newLengths.Skip(row).TakeWhile(other => other == added).Count();
                for (int start = length, end; start < length + added; start = end)
                {
                    end = Math.Min(length + added, (start / Attention.PositionBlock + 1) * Attention.PositionBlock);
                    int from = shape.Kind == AttentionKind.Full ? 0 : Math.Max(0, start - cache._config.SlidingWindow + 1);
                    yield return new AttentionPart(row, rows, start - length, end - start, from - origin, end - from);
                }
            }
        }

        /// <summary>Rows that hold as many positions as their neighbours.</summary>
        private IEnumerable<AttentionPart> DecoderParts()
        {
            int[] kept = [.. cache._lengths.Select(Kept)];
            for (int row = 0, rows; row < kept.Length; row += rows)
            {
                int own = kept[row];
                rows = kept.Skip(row).TakeWhile(other => other == own).Count();
                yield return new AttentionPart(row, rows, 0, Canvas, 0, Canvas + own);
            }
        }

        /// <summary>Returns views [rows,kv,count,D] of the buffers' positions from <paramref name="start"/> on, canvas included.</summary>
        private KeyValues View(int first, int rows, int start, int count)
        {
            Reserve(cache._lengths.Count, start + count);
            return new KeyValues(
                _keys!.narrow(0, first, rows).narrow(2, start, count), _values!.narrow(0, first, rows).narrow(2, start, count));
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

        /// <summary>Writes [1,kv,count,D] to the start of a row's cache.</summary>
        private void Write(int row, KeyValues rows)
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

        private int Kept(int length) => cache.Kept(shape.Kind, length);

        private void Reserve(int rows, int positions)
        {
            long haveRows = _keys?.shape[0] ?? 0, have = _keys?.shape[2] ?? 0;
            if (rows <= haveRows && positions <= have) return;
            // Grows by a half, so that copies are rare while answers grow canvas by canvas.
            long wanted = positions <= have ? have : Math.Max(positions, have + (have / 2));
            bool isFull = shape.Kind == AttentionKind.Full;
            long most = isFull ? (wanted + Block - 1) / Block * Block : Canvas + (long)cache._config.SlidingWindow - 1;
            long length = isFull ? most : Math.Min(most, Math.Max(wanted, Canvas + Block));
            long[] size = [Math.Max(rows, haveRows), shape.KeyValueHeads, length, shape.HeadDim];
            _keys = Grow(_keys, size);
            _values = Grow(_values, size);
        }

        private Tensor Grow(Tensor? old, long[] size)
        {
            using var scope = NewDisposeScope();
            // Zeros: masked positions still enter products, where uninitialised memory may hold a NaN.
            Tensor buffer = zeros(size, dtype: cache._dtype, device: cache._device);
            if (old is not null)
            {
                buffer.narrow(0, 0, old.shape[0]).narrow(2, 0, old.shape[2]).copy_(old);
                old.Dispose();
            }
            return buffer.DetachFromDisposeScope();
        }
    }
}
