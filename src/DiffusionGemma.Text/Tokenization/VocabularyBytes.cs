using System.Collections;
using System.Text;

namespace DiffusionGemma;

/// <summary>
/// UTF-8 bytes that each id adds to a decoded text, in one block of memory. A byte token such as &lt;0x0A&gt; is its single byte, ▁ is a
/// space, and special tokens and ids without a token have no bytes:
/// <code>
/// ▁day -> 20 64 61 79     &lt;0xE2> -> E2     &lt;turn|> -> (none)
/// </code>
/// The bytes of several ids, one after the other, are the bytes of their text wherever these are valid UTF-8.
/// </summary>
public sealed class VocabularyBytes : IReadOnlyList<ReadOnlyMemory<byte>>
{
    private readonly byte[] _bytes;
    private readonly int[] _starts;

    internal VocabularyBytes(Vocabulary vocabulary, bool marksSpaces)
    {
        _starts = new int[vocabulary.Size + 1];
        using MemoryStream bytes = new();
        for (int id = 0; id < vocabulary.Size; id++)
        {
            if (vocabulary.TokenOf(id) is { } token && !vocabulary.IsSpecial(id))
            {
                int value = vocabulary.ByteOf(id);
                if (value >= 0) bytes.WriteByte((byte)value);
                else bytes.Write(Encoding.UTF8.GetBytes(marksSpaces ? token.Replace(Vocabulary.SpaceMark, ' ') : token));
            }
            _starts[id + 1] = checked((int)bytes.Length);
        }
        _bytes = bytes.ToArray();
    }

    /// <summary>Number of ids: one more than the highest.</summary>
    public int Count => _starts.Length - 1;

    /// <summary>The bytes of an id; empty for special tokens and ids without a token.</summary>
    /// <exception cref="ArgumentOutOfRangeException">The id is not below <see cref="Count"/>.</exception>
    public ReadOnlyMemory<byte> this[int id] => (uint)id < (uint)Count
        ? _bytes.AsMemory(_starts[id].._starts[id + 1])
        : throw new ArgumentOutOfRangeException(nameof(id), id, $"The vocabulary has ids from 0 to {Count - 1}.");

    /// <inheritdoc/>
    public IEnumerator<ReadOnlyMemory<byte>> GetEnumerator()
    {
        for (int id = 0; id < Count; id++)
            yield return this[id];
    }

    IEnumerator IEnumerable.GetEnumerator() => GetEnumerator();
}
