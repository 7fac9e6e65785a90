namespace DiffusionGemma;

/// <summary>Checks of packed rows before they are trained or evaluated on.</summary>
internal static class TrainingRowChecks
{
    /// <param name="examples">The rows.</param>
    /// <param name="config">The model's configuration.</param>
    /// <param name="option">The option that holds the rows; null: they are an argument.</param>
    /// <returns>Tokens of each row.</returns>
    /// <exception cref="TrainingException">There is no row, or one is malformed; the message names it.</exception>
    public static int[] Require(IReadOnlyList<TrainingExample> examples, DiffusionGemmaConfig config, string? option = null)
    {
        string where = option is null ? "" : $"{option}: ";
        if (examples.Count == 0) throw new TrainingException($"{where}There are no rows to train on.") { Option = option };
        int[] lengths = new int[examples.Count];
        for (int row = 0; row < lengths.Length; row++)
        {
            TrainingExample example = examples[row];
            if (Fault(example, config) is string fault)
                throw new TrainingException($"{where}Row {row} {fault}.") { Row = row, Option = option };
            lengths[row] = example.InputIds.Length;
        }
        return lengths;
    }

    private static string? Fault(TrainingExample example, DiffusionGemmaConfig config)
    {
        int length = example.InputIds.Length;
        return length > config.MaxPositionEmbeddings
            ? $"has {length} tokens, more than the model's {config.MaxPositionEmbeddings} positions"
            : length < 2 ? $"has {length} tokens, too few"
            : example.LossMask.Length != length ? $"has {length} ids but {example.LossMask.Length} mask values"
            : example.PrefixLength < 0 || example.PrefixLength >= length
                ? $"has its first canvas at {example.PrefixLength}, outside its {length} tokens"
            : example.PaddedLength < length ? $"has a padded length of {example.PaddedLength}, less than its {length} tokens"
            : !example.LossMask.Contains(true) ? "has no supervised token"
            : example.InputIds.Any(id => id < 0 || id >= config.VocabularySize)
                ? $"has an id outside the vocabulary of {config.VocabularySize}: is it tokenized for another checkpoint?"
                : null;
    }
}
