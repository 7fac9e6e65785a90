namespace DiffusionGemma;

/// <summary>A rank's number and activity for error messages, shared by all the groups that the rank is in.</summary>
/// <param name="number">The rank in the group that all others were split off.</param>
internal sealed class RankStatus(int number)
{
    private volatile string _activity = "";

    public int Number => number;

    /// <summary>The step and phase, such as "step 12, backward"; may be empty.</summary>
    public string Activity
    {
        get => _activity;
        set => _activity = value;
    }

    public override string ToString() => Activity.Length == 0 ? $"rank {Number}" : $"rank {Number} ({Activity})";
}
