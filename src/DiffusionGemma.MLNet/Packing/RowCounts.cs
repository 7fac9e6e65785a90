namespace DiffusionGemma;

/// <summary>Counts of packed rows by what becomes of them in training.</summary>
/// <param name="Trained">Rows that are trained on.</param>
/// <param name="Unanswered">Rows left out because they have no answer.</param>
/// <param name="Lost">Rows left out because the cut at the maximum length takes all of their answer.</param>
/// <param name="Dropped">Rows left out because the cut takes a part of their answer (<see cref="TruncatedRows.Drop"/>).</param>
/// <param name="Cut">Rows that are trained on with their answer cut short.</param>
/// <param name="Notes">Counts of the rows' notes; rows left out because of an empty answer are among them.</param>
internal sealed record RowCounts(int Trained, int Unanswered, int Lost, int Dropped, int Cut, RowNoteCounts Notes)
{
    public int All => Trained + Unanswered + Notes.EmptyAnswers + Lost + Dropped;

    /// <summary>Sentences about rows that are left out or cut, and about what training would miss.</summary>
    public IEnumerable<string> Warnings()
    {
        if (Unanswered > 0)
            yield return $"{Counted.Rows(Unanswered)} left out: no answer (the last message is not the assistant's)";
        if (Notes.EmptyAnswers > 0)
            yield return $"{Counted.Rows(Notes.EmptyAnswers)} left out: the answer is empty";
        if (Lost > 0)
            yield return $"{Counted.Rows(Lost)} left out: the cut at the maximum length took all of the answer";
        if (Dropped > 0)
            yield return $"{Counted.Rows(Dropped)} left out: the cut at the maximum length took a part of the answer";
        if (Cut > 0)
            yield return $"{Counted.Rows(Cut)} with the answer cut short at the maximum length";
        foreach (string warning in Notes.Warnings())
            yield return warning;
    }
}
