namespace DiffusionGemma;

/// <summary>Counts of packed rows by what becomes of them in training.</summary>
/// <param name="Trained">Rows that are trained on.</param>
/// <param name="Unanswered">Rows left out because they have no answer.</param>
/// <param name="Lost">Rows left out because the cut at the maximum length takes all of their answer.</param>
/// <param name="Cut">Rows that are trained on with their answer cut short.</param>
internal sealed record RowCounts(int Trained, int Unanswered, int Lost, int Cut)
{
    public int All => Trained + Unanswered + Lost;
}
