using Microsoft.ML;

namespace DiffusionGemma.Soak;

/// <summary>Conversations through the chat template, the tokenizer, masks and packing, into a store that goes on in a file.</summary>
/// <param name="count">Rows of a slice.</param>
internal sealed class TextRows(int count) : ISoakPart
{
    /// <summary>Bytes of packed rows that are kept in memory: a small part, so that the rest goes to the disk.</summary>
    private const long InMemory = 1 << 20;

    private readonly MLContext _ml = new(seed: 42);
    private readonly TemporaryFolder _folder = Fixtures.Temporary("soak");
    private ITransformer? _packing;
    private int _next;

    public string Name => "rows through the text side";

    public Task<Work> RunSliceAsync()
    {
        int first = _next;
        _next += count;
        IDataView rows = _ml.Data.LoadChatFromEnumerable(Enumerable.Range(first, count).Select(Row));
        _packing ??= ArithmeticPipeline.Packing(_ml).Fit(rows);
        using PackedRowStore store = _ml.Transforms.DiffusionGemma.PackedRows(_packing.Transform(rows), InMemory, _folder.Path);
        if (store.Count != count) throw new InvalidDataException($"{store.Count} packed rows of {count}.");
        return Task.FromResult(new Work(count));
    }

    public void Dispose() => _folder.Dispose();

    /// <summary>A row of its own length and text.</summary>
    private static QuestionAnswer Row(int number)
    {
        var random = new Random(number);
        string terms = string.Join(" plus ", Enumerable.Range(0, random.Next(2, 12)).Select(_ => random.Next(1000)));
        return new QuestionAnswer(
            $"What is {terms}?", $"{number} \u00e9\u4e2d\ud83d\ude00", number % 5 == 0 ? "Answer with a number." : null);
    }
}
