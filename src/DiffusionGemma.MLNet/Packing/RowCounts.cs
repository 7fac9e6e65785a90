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
            yield return $"{Unanswered} rows left out: they have no answer (their last message is not the assistant's)";
        if (Notes.EmptyAnswers > 0)
            yield return $"{Notes.EmptyAnswers} rows left out: their answer is empty";
        if (Lost > 0)
            yield return $"{Lost} rows left out: the cut at the maximum length took all of their answer";
        if (Dropped > 0)
            yield return $"{Dropped} rows left out: the cut at the maximum length took a part of their answer";
        if (Cut > 0)
            yield return $"{Cut} rows have their answer cut short at the maximum length";
        foreach (string warning in Notes.Warnings())
            yield return warning;
    }
}
