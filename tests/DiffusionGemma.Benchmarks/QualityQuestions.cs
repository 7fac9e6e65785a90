namespace DiffusionGemma.Benchmarks;

/// <summary>
/// The rows of datasets/arithmetic that are trained on, and questions that are not among them: the held-out ones of the dataset, and
/// further ones by the same generator. Its short sums are used up, so the further ones are little stories.
/// </summary>
internal static class QualityQuestions
{
    private const int TrainRows = 2000, TestRows = 200;

    /// <summary>Draws rows.</summary>
    /// <param name="questions">The number of questions to answer, all different.</param>
    public static (IReadOnlyList<QuestionAnswer> Train, IReadOnlyList<QuestionAnswer> Questions) Make(int questions)
    {
        (IReadOnlyList<Samples.QuestionAnswer> train, IReadOnlyList<Samples.QuestionAnswer> test) =
            Samples.Arithmetic.Make(TrainRows, TestRows, seed: 42);
        var trained = train.Select(row => row.Question).ToHashSet();
        IEnumerable<Samples.QuestionAnswer> further = Samples.Arithmetic.Make(4 * questions, testRows: 1, seed: 43).Train;
        List<QuestionAnswer> asked =
        [
            .. test.Concat(further).DistinctBy(row => row.Question).Where(row => !trained.Contains(row.Question)).Take(questions)
                .Select(Row),
        ];
        return asked.Count == questions
            ? ([.. train.Select(Row)], asked)
            : throw new InvalidOperationException($"Only {asked.Count} of {questions} questions are new.");
    }

    private static QuestionAnswer Row(Samples.QuestionAnswer row) => new(row.Question, row.Answer);
}
