namespace DiffusionGemma;

/// <summary>
/// Keys and values of beginnings that prompts share, one beginning an adapter: what one adapter encodes is of no use to another. Those that
/// were not used for the longest time, and those of disposed adapters, are freed.
/// </summary>
/// <param name="most">Beginnings held at most.</param>
internal sealed class EncodedPrefixes(int most = 8) : IDisposable
{
    private readonly List<(LoraAdapter Adapter, int[] Ids, IReadOnlyList<KeyValues> Layers)> _held = [];    // the last used one last

    /// <summary>The number of beginnings held.</summary>
    public int Count => _held.Count;

    /// <summary>Returns an adapter's beginning, with its keys and values, a pair a layer; null: there is none.</summary>
    public (int[] Ids, IReadOnlyList<KeyValues> Layers)? Find(LoraAdapter adapter)
    {
        int index = _held.FindIndex(entry => ReferenceEquals(entry.Adapter, adapter));
        if (index < 0) return null;
        var entry = _held[index];
        _held.RemoveAt(index);
        _held.Add(entry);
        return (entry.Ids, entry.Layers);
    }

    /// <summary>Replaces an adapter's beginning.</summary>
    /// <param name="adapter">The adapter that encoded it.</param>
    /// <param name="ids">Its tokens.</param>
    /// <param name="layers">Its keys and values, to be owned by this.</param>
    public void Replace(LoraAdapter adapter, int[] ids, IReadOnlyList<KeyValues> layers)
    {
        Remove(entry => ReferenceEquals(entry, adapter));
        if (_held.Count == most)
        {
            LoraAdapter oldest = _held[0].Adapter;
            Remove(entry => ReferenceEquals(entry, oldest));
        }
        _held.Add((adapter, ids, layers));
    }

    /// <summary>Frees the beginnings of disposed adapters.</summary>
    public void RemoveDisposed() => Remove(adapter => adapter.IsDisposed);

    /// <inheritdoc/>
    public void Dispose() => Remove(_ => true);

    private void Remove(Func<LoraAdapter, bool> isRemoved)
    {
        foreach (KeyValues layer in _held.Where(entry => isRemoved(entry.Adapter)).SelectMany(entry => entry.Layers))
        {
            layer.Keys.Dispose();
            layer.Values.Dispose();
        }
        _held.RemoveAll(entry => isRemoved(entry.Adapter));
    }
}
