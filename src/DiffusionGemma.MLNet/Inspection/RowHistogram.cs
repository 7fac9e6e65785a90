using System.Globalization;

namespace DiffusionGemma;

/// <summary>Counts of rows by value, exact.</summary>
public sealed class RowHistogram
{
    private readonly SortedDictionary<int, int> _rows = [];

    internal RowHistogram()
    {
    }

    /// <summary>Row counts by value, ascending.</summary>
    public IReadOnlyDictionary<int, int> Rows => _rows;

    /// <summary>Rows in all.</summary>
    public int Count { get; private set; }

    /// <summary>The values' sum.</summary>
    public long Sum { get; private set; }

    /// <summary>The values' mean; 0 without rows.</summary>
    public double Mean => Count == 0 ? 0 : (double)Sum / Count;

    /// <summary>The least value; 0 without rows.</summary>
    public int Min => Count == 0 ? 0 : _rows.First().Key;

    /// <summary>The greatest value; 0 without rows.</summary>
    public int Max => Count == 0 ? 0 : _rows.Last().Key;

    /// <summary>The smallest value that at least this share of the rows does not exceed; 0 without rows.</summary>
    /// <param name="share">From 0 to 1; 0.5 is the median.</param>
    public int Quantile(double share)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(share, 0);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(share, 1);
        long seen = 0;
        foreach ((int value, int rows) in _rows)
            if ((seen += rows) >= share * Count)
                return value;
        return Max;
    }

    /// <summary>Row counts in ranges of one width, from the smallest value to the greatest.</summary>
    /// <param name="width">Values a range; a range begins at a multiple of it.</param>
    public IReadOnlyList<(int From, int To, int Rows)> Ranges(int width)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(width, 1);
        if (Count == 0)
            return [];
        var ranges = new (int From, int To, int Rows)[(Max / width) - (Min / width) + 1];
        for (int i = 0; i < ranges.Length; i++)
            ranges[i] = (((Min / width) + i) * width, ((Min / width) + i + 1) * width - 1, 0);
        foreach ((int value, int rows) in _rows)
            ranges[(value / width) - (Min / width)].Rows += rows;
        return ranges;
    }

    /// <summary>Least, median, mean, 95th percentile and greatest.</summary>
    public override string ToString() =>
        string.Create(CultureInfo.InvariantCulture, $"min {Min}, median {Quantile(0.5)}, mean {Mean:F1}, 95 % {Quantile(0.95)}, max {Max}");

    internal void Add(int value)
    {
        _rows[value] = _rows.GetValueOrDefault(value) + 1;
        Count++;
        Sum += value;
    }
}
