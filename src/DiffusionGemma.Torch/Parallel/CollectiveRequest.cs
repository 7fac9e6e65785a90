using System.Globalization;
using static TorchSharp.torch;

namespace DiffusionGemma;

/// <summary>A rank's call of a collective with what the other ranks need to know of it.</summary>
/// <param name="Call">Operation, dtype and size.</param>
internal sealed record CollectiveRequest(CollectiveCall Call)
{
    /// <summary>All-to-all: rows for each rank.</summary>
    public IReadOnlyList<long> Sent { get; init; } = [];

    /// <summary>All-to-all: rows from each rank.</summary>
    public IReadOnlyList<long> Received { get; init; } = [];

    /// <summary>The tensor that other threads may read until the collective ends; null between processes.</summary>
    public Tensor? Input { get; init; }

    /// <summary>The tensor that other threads may write until the collective ends; null between processes.</summary>
    public Tensor? Output { get; init; }

    /// <summary>Split: the color.</summary>
    public int Color { get; init; }

    /// <summary>
    /// Compares the requests of all ranks and describes the differences, naming each rank that differs; null where there are none.
    /// </summary>
    public static string? FindMismatch(IReadOnlyList<RankStatus> ranks, IReadOnlyList<CollectiveRequest> requests)
    {
        bool same = true;
        for (int r = 1; r < requests.Count; r++) same &= requests[r].Call == requests[0].Call;
        if (!same) return DescribeCalls(ranks, requests);
        if (requests[0].Call.Operation != Collective.AllToAll) return null;

        var differences = new List<string>();
        for (int from = 0; from < requests.Count; from++)
        {
            for (int to = 0; to < requests.Count; to++)
            {
                (long sent, long received) = (requests[from].Sent[to], requests[to].Received[from]);
                if (sent == received) continue;
                differences.Add(string.Create(
                    CultureInfo.InvariantCulture, $"{ranks[from]} sends {sent} rows to {ranks[to]}, which expects {received}"));
            }
        }
        return differences.Count == 0 ? null : $"the counts of an {requests[0].Call} do not match: {string.Join("; ", differences)}";
    }

    /// <summary>Lists the ranks of the most frequent call together and every other rank with its own call.</summary>
    private static string DescribeCalls(IReadOnlyList<RankStatus> ranks, IReadOnlyList<CollectiveRequest> requests)
    {
        int[][] groups =
        [
            .. Enumerable.Range(0, requests.Count).GroupBy(r => requests[r].Call).Select(group => group.ToArray())
                .OrderByDescending(group => group.Length),
        ];
        string majority = $"{(groups[0].Length == 1 ? "" : "each of ")}{string.Join(", ", groups[0].Select(r => ranks[r]))}";
        IEnumerable<string> others = groups[1..].SelectMany(group => group).Select(r => $"{ranks[r]} calls {requests[r].Call}");
        return $"the ranks call different collectives: {majority} calls {requests[groups[0][0]].Call}; {string.Join("; ", others)}";
    }
}
