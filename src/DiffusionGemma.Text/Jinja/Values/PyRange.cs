namespace DiffusionGemma.Jinja;

/// <summary>Python's range: its items are computed.</summary>
internal sealed class PyRange(long start, long step, int count) : PySequence
{
    public override int Count => count;

    public override object? this[int index] => start + (index * step);

    public override string TypeName => "range";

    public override string ToString() =>
        step == 1 ? $"range({start}, {start + count})" : $"range({start}, {start + (count * step)}, {step})";
}
