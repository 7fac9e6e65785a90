namespace DiffusionGemma;

/// <summary>Who a rank is and where it stands, as messages say it. One for all the groups that the rank is in, so that they say the same.</summary>
/// <param name="number">The rank in the group that all others were split off.</param>
internal sealed class RankPlace(int number)
{
    private volatile string _at = "";

    public int Number => number;

    /// <summary>"step 12, backward".</summary>
    public string At
    {
        get => _at;
        set => _at = value;
    }

    public override string ToString() => At.Length == 0 ? $"rank {Number}" : $"rank {Number} ({At})";
}
