namespace DiffusionGemma;

/// <summary>Counts of fields that are right, over the rows of an evaluation.</summary>
internal sealed class FieldCounts(StringComparison comparison)
{
    private readonly List<string> _names = [];
    private readonly Dictionary<string, (int Rows, int Correct)> _counts = [];

    /// <summary>The fields in the order in which they came up.</summary>
    public IReadOnlyList<FieldMetrics> Metrics =>
        [.. _names.Select(name => new FieldMetrics(name, _counts[name].Rows, _counts[name].Correct))];

    /// <summary>Compares a row's answer with what is expected; one that is no JSON object has no field.</summary>
    public void Add(string expected, string answer)
    {
        IReadOnlyDictionary<string, string> wanted = AnswerFields.Read(expected) ?? new Dictionary<string, string>();
        IReadOnlyDictionary<string, string> given = AnswerFields.Read(answer) ?? new Dictionary<string, string>();
        foreach (string name in wanted.Keys.Union(given.Keys))
        {
            if (!_counts.ContainsKey(name)) _names.Add(name);
            (int rows, int correct) = _counts.GetValueOrDefault(name);
            bool isRight = wanted.TryGetValue(name, out string? a) && given.TryGetValue(name, out string? b)
                && string.Equals(a, b, comparison);
            _counts[name] = (rows + 1, correct + (isRight ? 1 : 0));
        }
    }
}
