using System.Globalization;
using static TorchSharp.torch;

namespace DiffusionGemma;

/// <summary>What a rank brings to a collective, for the others to see.</summary>
/// <param name="Call">What it calls.</param>
internal sealed record CollectivePost(CollectiveCall Call)
{
    /// <summary>All-to-all: rows for each rank.</summary>
    public IReadOnlyList<long> Sent { get; init; } = [];

    /// <summary>All-to-all: rows of each rank.</summary>
    public IReadOnlyList<long> Received { get; init; } = [];

    /// <summary>Where others may read, in shared memory, until the collective ends.</summary>
    public Tensor? Input { get; init; }

    /// <summary>Where others may write, in shared memory, until the collective ends.</summary>
    public Tensor? Output { get; init; }

    /// <summary>Of a split.</summary>
    public int Color { get; init; }

    /// <summary>What keeps the ranks from doing this together, naming each rank that differs; null where nothing does.</summary>
    public static string? Mismatch(IReadOnlyList<RankPlace> ranks, IReadOnlyList<CollectivePost> posts)
    {
        bool same = true;
        for (int r = 1; r < posts.Count; r++) same &= posts[r].Call == posts[0].Call;
        if (!same) return Differences(ranks, posts);
        if (posts[0].Call.Operation != Collective.AllToAll) return null;

        var unfit = new List<string>();
        for (int from = 0; from < posts.Count; from++)
        {
            for (int to = 0; to < posts.Count; to++)
            {
                (long sent, long received) = (posts[from].Sent[to], posts[to].Received[from]);
                if (sent != received) unfit.Add(string.Create(CultureInfo.InvariantCulture, $"{ranks[from]} sends {sent} rows to {ranks[to]}, which expects {received}"));
            }
        }
        return unfit.Count == 0 ? null : $"the counts of an {posts[0].Call} do not fit: {string.Join("; ", unfit)}";
    }

    /// <summary>What most ranks call is said once; who calls another thing is named alone.</summary>
    private static string Differences(IReadOnlyList<RankPlace> ranks, IReadOnlyList<CollectivePost> posts)
    {
        int[][] groups = [.. Enumerable.Range(0, posts.Count).GroupBy(r => posts[r].Call).Select(group => group.ToArray()).OrderByDescending(group => group.Length)];
        string most = $"{(groups[0].Length == 1 ? "" : "each of ")}{string.Join(", ", groups[0].Select(r => ranks[r]))} calls {posts[groups[0][0]].Call}";
        return $"the ranks do not call the same: {most}; {string.Join("; ", groups[1..].SelectMany(group => group).Select(r => $"{ranks[r]} calls {posts[r].Call}"))}";
    }
}
