using static TorchSharp.torch;

namespace DiffusionGemma;

/// <summary>
/// Rows that are denoised together, with what the model keeps of each: its encoded tokens, and the prediction that conditions its next
/// pass. Rows join and leave between passes; a row that has left costs nothing more.
/// </summary>
internal sealed class DenoisingBatch(DiffusionGemmaModel model) : IDisposable
{
    /// <summary>Tokens of a long prompt that one pass encodes.</summary>
    private const int EncoderTokens = 1024;

    /// <summary>Tokens, padding included, of several prompts that one pass encodes.</summary>
    private const int EncoderBatchTokens = 8192;

    private readonly KeyValueCache _cache = new(model.Config, model.Device, model.DType);
    private readonly List<DenoisingRow> _rows = [];
    private Tensor? _expected;                                              // [rows,C,H]: expected embeddings under the last pass
    private readonly EncodedPrefixes _prefixes = new();
    private readonly PreparedDeltas _deltas = new();

    /// <summary>The rows in the batch's own order, which changes as rows leave.</summary>
    public IReadOnlyList<DenoisingRow> Rows => _rows;

    /// <summary>Encodes the prompts of new rows, and adds the rows in this order.</summary>
    /// <param name="rows">Best of like lengths.</param>
    /// <param name="sharedPrefixes">What the prompts of each adapter's rows, and later ones, begin with, to be encoded once; where an
    /// adapter has none: its prefix of an admission before.</param>
    public void Admit(IReadOnlyList<DenoisingRow> rows, IReadOnlyDictionary<LoraAdapter, int[]>? sharedPrefixes = null)
    {
        _prefixes.RemoveDisposed();
        if (rows.Count == 0) return;
        _deltas.KeepOnly(_rows.Concat(rows).Select(row => row.Adapter));
        using IDisposable quiet = no_grad();
        int first = _rows.Count;
        _rows.AddRange(rows);
        _cache.AddRows(rows.Count);
        var unread = new List<int[]>();
        for (int i = 0; i < rows.Count; i++)
        {
            int[] prompt = rows[i].Prompt;
            if (sharedPrefixes?.GetValueOrDefault(rows[i].Adapter) is { Length: >= SharedPrefix.LeastLength } prefix
                && !(_prefixes.Find(rows[i].Adapter)?.Ids.AsSpan().SequenceEqual(prefix) ?? false))
                EncodeSharedPrefix(first + i, prefix);
            if (_prefixes.Find(rows[i].Adapter) is { } encoded && prompt.Length > encoded.Ids.Length
                && prompt.AsSpan().StartsWith(encoded.Ids))
            {
                _cache.Load(first + i, encoded.Layers, encoded.Ids.Length);
                prompt = prompt[encoded.Ids.Length..];
            }
            unread.Add(prompt);
        }
        EncodeRows(first, unread);
    }

    /// <summary>Decodes every row's canvas against its encoded tokens, conditioned on the row's last prediction.</summary>
    /// <returns>The hidden state [rows,C,H] after the final norm.</returns>
    public Tensor Decode()
    {
        int rows = _rows.Count, canvas = model.Config.CanvasLength;
        Tensor Send(IEnumerable<long> numbers) => HostCopy.Send(tensor(numbers.ToArray(), device: CPU), model.Device);
        Tensor ids = Send(_rows.SelectMany(row => row.Tokens.Select(id => (long)id))).view(rows, canvas);
        Tensor starts = Send(_cache.Lengths.Select(length => (long)length));
        Tensor positions = starts.unsqueeze(-1) + arange(canvas, device: model.Device);
        Tensor expected = ExpectedEmbeddings(rows);
        Conditioning? conditioning = _rows.Exists(row => row.IsConditioned) ? new Conditioning(expected) : null;
        return model.Decode(ids, positions, _cache.Layers, conditioning, _cache.DecoderMask, Context(Pass.Decoder, 0, rows));
    }

    /// <summary>Stores the prediction that conditions the next pass over some rows.</summary>
    /// <param name="first">The first of the rows.</param>
    /// <param name="expected">[n,C,H], expected embeddings.</param>
    public void Condition(int first, Tensor expected) => _expected!.narrow(0, first, expected.shape[0]).copy_(expected);

    /// <summary>Appends committed canvases to the encoded tokens of their rows: the causal pass over what is now clean text.</summary>
    /// <param name="canvases">[C] a row; other rows stay as they are.</param>
    public void Append(IReadOnlyDictionary<DenoisingRow, int[]> canvases)
    {
        using IDisposable quiet = no_grad();
        // Neighbours of one length are encoded together.
        for (int first = 0; first < _rows.Count; first++)
        {
            var run = new List<int[]>();
            for (int i = first; i < _rows.Count && _cache.Lengths[i] == _cache.Lengths[first]; i++)
            {
                if (!canvases.TryGetValue(_rows[i], out int[]? ids)) break;
                run.Add(ids);
            }
            if (run.Count == 0) continue;
            EncodeRows(first, run);
            first += run.Count - 1;
        }
    }

    /// <summary>Removes a row; the last one takes its place.</summary>
    public void Remove(DenoisingRow row)
    {
        int index = _rows.IndexOf(row), last = _rows.Count - 1;
        using IDisposable quiet = no_grad();
        using var scope = NewDisposeScope();
        if (index != last && _expected is not null && _rows[last].IsConditioned)
            _expected.narrow(0, index, 1).copy_(_expected.narrow(0, last, 1));
        _cache.Remove(index);
        _rows[index] = _rows[last];
        _rows.RemoveAt(last);
        // Without rows an adapter may be trained on.
        if (last == 0) _deltas.Dispose();
    }

    public void Dispose()
    {
        foreach (DenoisingRow row in _rows) row.Dispose();
        _prefixes.Dispose();
        _deltas.Dispose();
        _expected?.Dispose();
        _cache.Dispose();
    }

    /// <summary>The pass over some rows, each with its own adapter.</summary>
    private PassContext Context(Pass pass, int first, int rows)
    {
        LoraAdapter[] adapters = [.. _rows.Skip(first).Take(rows).Select(row => row.Adapter)];
        LoraAdapter own = model.Adapter ?? LoraAdapter.None;
        return new PassContext(pass)
        {
            Adapters = adapters.All(adapter => ReferenceEquals(adapter, own)) ? null : new RowAdapters(adapters),
            Prepared = _deltas,
        };
    }

    /// <summary>[rows,C,H]; zero where a row has had no pass over its canvas.</summary>
    private Tensor ExpectedEmbeddings(int rows)
    {
        if (_expected is null || _expected.shape[0] < rows)
        {
            Tensor grown = zeros([rows, model.Config.CanvasLength, model.Config.HiddenSize], dtype: model.DType, device: model.Device);
            if (_expected is { } old)
            {
                grown.narrow(0, 0, old.shape[0]).copy_(old);
                old.Dispose();
            }
            _expected = grown.DetachFromDisposeScope();
        }
        for (int row = 0; row < rows; row++)
            if (!_rows[row].IsConditioned) _expected.narrow(0, row, 1).zero_();
        return _expected.narrow(0, 0, rows);
    }

    private void EncodeSharedPrefix(int row, int[] prefix)
    {
        EncodeTogether(row, [prefix]);
        _prefixes.Replace(_rows[row].Adapter, prefix, _cache.Snapshot(row));
        _cache.Clear(row);
    }

    /// <summary>Encodes tokens of rows from <paramref name="first"/> on, those of like lengths in one pass.</summary>
    private void EncodeRows(int first, IReadOnlyList<int[]> unread)
    {
        for (int i = 0; i < unread.Count;)
        {
            int longest = unread[i].Length, shortest = longest, count = 1;
            for (; i + count < unread.Count && _cache.Lengths[first + i + count] == _cache.Lengths[first + i]; count++)
            {
                int length = unread[i + count].Length;
                (longest, shortest) = (Math.Max(longest, length), Math.Min(shortest, length));
                if (longest > EncoderTokens || 4 * shortest < 3 * longest || longest * (count + 1) > EncoderBatchTokens) break;
            }
            EncodeTogether(first + i, [.. unread.Skip(i).Take(count)]);
            i += count;
        }
    }

    /// <summary>
    /// Encodes tokens of rows whose caches are of one length, padded on the right, in one pass; those of a single row in pieces where they
    /// are many.
    /// </summary>
    private void EncodeTogether(int first, IReadOnlyList<int[]> unread)
    {
        int width = unread.Max(ids => ids.Length);
        for (int start = 0, piece; start < width; start += piece)
        {
            using var scope = NewDisposeScope();
            piece = unread.Count == 1 ? Math.Min(EncoderTokens, width - start) : width;
            int past = _cache.Lengths[first], from = start, count = piece;
            IEnumerable<long> Padded(int[] tokens) =>
                Enumerable.Range(from, count).Select(i => i < tokens.Length ? (long)tokens[i] : model.Config.PadTokenId);
            Tensor ids = HostCopy.Send(tensor(unread.SelectMany(Padded).ToArray(), device: CPU), model.Device).view(unread.Count, piece);
            Tensor positions = arange(past, past + piece, device: model.Device).unsqueeze(0);
            _cache.BeginAppend(first, [.. unread.Select(tokens => Math.Min(tokens.Length - from, count))]);
            model.Encode(
                ids, positions, _cache.Layers, kind => _cache.EncoderMask(kind, count), Context(Pass.Encoder, first, unread.Count));
            _cache.EndAppend();
        }
    }
}
