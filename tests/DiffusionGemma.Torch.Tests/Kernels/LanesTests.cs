using System.Runtime.Intrinsics;

namespace DiffusionGemma;

/// <summary>Operations of a register, and functions made of them, against the same on numbers.</summary>
public unsafe class LanesTests
{
    private static readonly float[] Specials =
        [0, -0f, 1, -1, 0.5f, 1.5f, 2.5f, -2.5f, 1e-40f, 3e38f, float.PositiveInfinity, float.NegativeInfinity, float.NaN, 7, -104, 104];

    public static TheoryData<int> Widths => Width.All;

    [Theory]
    [MemberData(nameof(Widths))]
    public void Operations(int width)
    {
        Width.Of(width);
        Run(width, new OperationsCheck());
    }

    [Theory]
    [MemberData(nameof(Widths))]
    public void Exp_is_good_to_two_units(int width)
    {
        Width.Of(width);
        Run(width, new ExpCheck());
    }

    private static void Run(int width, ICheck check)
    {
        if (width == 16) check.Run<Lanes512>();
        else if (width == 8) check.Run<Lanes256>();
        else check.Run<Lanes128>();
    }

    private static float[] Of<L>(L lanes)
        where L : struct, ILanes<L>
    {
        float[] values = new float[L.Count];
        fixed (float* to = values) lanes.Store(to);
        return values;
    }

    private interface ICheck
    {
        void Run<L>()
            where L : struct, ILanes<L>;
    }

    private sealed class OperationsCheck : ICheck
    {
        public void Run<L>()
            where L : struct, ILanes<L>
        {
            for (int start = 0; start < Specials.Length; start += L.Count)
            {
                float[] a = Specials[start..(start + L.Count)], b = [.. a.Reverse()];
                fixed (float* pa = a, pb = b)
                {
                    L x = L.Load(pa), y = L.Load(pb);
                    void Same(Func<float, float, float> expected, L got) => Assert.Equal(a.Zip(b, expected), Of(got));
                    Same((u, v) => u + v, x + y);
                    Same((u, v) => u - v, x - y);
                    Same((u, v) => u * v, x * y);
                    Same((u, v) => u / v, x / y);
                    Same((u, _) => -u, -x);
                    Same((u, v) => MathF.FusedMultiplyAdd(u, v, 3), L.MultiplyAdd(x, y, L.Create(3)));
                    Same((u, _) => MathF.Round(u, MidpointRounding.ToEven), L.Round(x));
                    Same((u, v) => u > v ? 1 : 2, L.WhereGreater(x, y, L.Create(1), L.Create(2)));
                    // A number beside a number gives the smaller and the larger; a NaN in the second place stays.
                    Same((u, _) => float.IsNaN(u) ? u : Math.Min(2, u), L.Min(L.Create(2), x));
                    Same((u, _) => float.IsNaN(u) ? u : Math.Max(2, u), L.Max(L.Create(2), x));
                }
            }
            float[] numbers = [.. Enumerable.Range(0, 4 * L.Count).Select(i => (float)((i * i) % 97))];
            fixed (float* p = numbers)
            {
                L a = L.Load(p), b = L.Load(p + L.Count), c = L.Load(p + 2 * L.Count), d = L.Load(p + 3 * L.Count);
                float[] sums = [.. numbers.Chunk(L.Count).Select(chunk => chunk.Sum())];            // whole numbers: exact in any order
                Assert.Equal(Vector128.Create(sums[0], sums[1], sums[2], sums[3]), L.Sums(a, b, c, d));
                Assert.Equal(sums[1], b.Sum());
            }
            for (int n = -151; n <= 127; n++)
                Assert.All(Of(L.Scale(L.Create(1.75f), L.Create(n))), value => Assert.Equal((float)(1.75 * Math.Pow(2, n)), value));
            Assert.All(Of(L.Scale(L.Create(0.75f), L.Create(151))), value => Assert.Equal(float.PositiveInfinity, value));
        }
    }

    private sealed class ExpCheck : ICheck
    {
        public void Run<L>()
            where L : struct, ILanes<L>
        {
            for (double x = -110; x < 110; x += 0.0173)
            {
                float at = (float)x, got = Of(LanesMath<L>.Exp(L.Create(at)))[0];
                double expected = Math.Exp(at), unit = Math.Max(expected * Math.Pow(2, -23), Math.Pow(2, -149));
                if (expected > float.MaxValue) Assert.Equal(float.PositiveInfinity, got);
                else Assert.True(Math.Abs(got - expected) <= 2 * unit, $"exp({at}) is {got}, not {expected}");
            }
            Assert.True(float.IsNaN(Of(LanesMath<L>.Exp(L.Create(float.NaN)))[0]));
            Assert.True(float.IsNaN(Of(LanesMath<L>.Sigmoid(L.Create(float.NaN)))[0]));
            Assert.Equal(
                [0, 1, 0.5f],
                new[] { float.NegativeInfinity, float.PositiveInfinity, 0 }.Select(x => Of(LanesMath<L>.Sigmoid(L.Create(x)))[0]));
        }
    }
}
