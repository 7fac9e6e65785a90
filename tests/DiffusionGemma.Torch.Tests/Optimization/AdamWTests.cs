using static TorchSharp.torch;

namespace DiffusionGemma;

public class AdamWTests : TorchTest
{
    private const double Beta1 = 0.9, Beta2 = 0.99, Epsilon = 1e-8, Decay = 0.1;

    /// <summary>
    /// Eight steps on three parameters against a plain float64 rendering. In float32 a value near 1 is rounded a few times a step: 1e-6.
    /// A bfloat16 parameter is its float32 master's rounding, and its master meets the rendering as a float32 parameter does.
    /// </summary>
    [Theory]
    [InlineData(ScalarType.Float64, 1e-14)]
    [InlineData(ScalarType.Float32, 1e-6)]
    [InlineData(ScalarType.BFloat16, 1e-6)]
    public void Equals_a_plain_rendering(ScalarType dtype, double tolerance)
    {
        Tensor[] parameters = [.. Enumerable.Range(0, 3).Select(n => Numbers(n, 20, dtype).requires_grad_(true))];
        Plain[] plain = [.. parameters.Select(p => new Plain(Doubles(p)))];
        using var optimizer = new AdamW(parameters, Beta1, Beta2, Epsilon, Decay);
        for (int step = 0; step < 8; step++)
        {
            double rate = 0.01 * (step + 1);
            for (int micro = 0; micro < 2; micro++)
            {
                for (int n = 0; n < 2; n++)                                                     // the third is never reached
                {
                    Tensor gradient = Numbers(100 * step + 10 * micro + n, 20, dtype);
                    optimizer.Gradients.BufferOf(parameters[n]).add_(gradient);
                    plain[n].Add(Doubles(gradient));
                }
            }
            double norm = Math.Sqrt(plain.Sum(p => p.Gradient.Sum(g => g * g)));
            Assert.Equal(norm, optimizer.Clip(new SingleRank(), 1.5), 1e-6 * norm);
            optimizer.Step(rate);
            foreach (Plain p in plain) p.Step(rate, Math.Min(1, 1.5 / (norm + 1e-6)));
        }
        for (int n = 0; n < 3; n++)
        {
            Tensor expected = tensor(plain[n].Values);
            if (dtype == ScalarType.BFloat16)
                Assert.True(Largest(parameters[n], expected) <= 1.0 / 256 + tolerance);         // 8 bits of mantissa on values up to 1
            else
                Assert.True(Largest(parameters[n], expected) <= tolerance, $"{n}: {Largest(parameters[n], expected):e1}");
        }
        Assert.All(plain[2].Values.Zip(Doubles(Numbers(2, 20, dtype))), pair => Assert.True(Math.Abs(pair.First) < Math.Abs(pair.Second)));
    }

    /// <summary>Steps far below a bfloat16 number's last place must not be lost: that is what the master is for.</summary>
    [Fact]
    public void Small_steps_add_up_in_the_master()
    {
        Tensor parameter = ones(4, dtype: ScalarType.BFloat16).requires_grad_(true);
        using var optimizer = new AdamW([parameter], Beta1, Beta2, Epsilon, weightDecay: 0);
        for (int step = 0; step < 100; step++)
        {
            optimizer.Gradients.BufferOf(parameter).add_(1);
            // a unit in the last place below 1 is 0.0039
            optimizer.Step(1e-4);
        }
        // a constant gradient moves by the rate a step
        Assert.Equal(0, Largest(parameter, full(4, 0.99).to(ScalarType.BFloat16)));
    }

    [Fact]
    public void Gradients_below_the_maximum_stay_as_they_are()
    {
        Tensor parameter = zeros(2, dtype: ScalarType.Float64).requires_grad_(true);
        using var optimizer = new AdamW([parameter], 0, 0, 1e-300, 0);
        optimizer.Gradients.BufferOf(parameter).add_(tensor(new[] { 3.0, 4.0 }));
        Assert.Equal(5, optimizer.Clip(new SingleRank(), double.PositiveInfinity), 1e-12);
        Assert.Equal(5, optimizer.Clip(new SingleRank(), 2.5), 1e-12);
        Assert.Equal(2.5 * 5 / (5 + 1e-6), optimizer.Clip(new SingleRank(), 1e9), 1e-12);
    }

    private static Tensor Numbers(int seed, int count, ScalarType dtype)
    {
        using var generator = new Generator((ulong)(seed + 1));
        return (rand(count, ScalarType.Float64, generator: generator) * 2 - 1).to(ScalarType.BFloat16).to(dtype);   // exact in every dtype
    }

    private static double[] Doubles(Tensor tensor) => tensor.detach().to(ScalarType.Float64).data<double>().ToArray();

    /// <summary>Loshchilov and Hutter 2019, algorithm 2, a number at a time.</summary>
    private sealed class Plain(double[] values)
    {
        private readonly double[] _m = new double[values.Length], _v = new double[values.Length];
        private int _steps;

        public double[] Values => values;

        public double[] Gradient { get; } = new double[values.Length];

        public void Add(double[] gradient)
        {
            for (int i = 0; i < gradient.Length; i++) Gradient[i] += gradient[i];
        }

        public void Step(double rate, double factor)
        {
            _steps++;
            for (int i = 0; i < values.Length; i++)
            {
                double g = Gradient[i] * factor;
                _m[i] = Beta1 * _m[i] + (1 - Beta1) * g;
                _v[i] = Beta2 * _v[i] + (1 - Beta2) * g * g;
                double m = _m[i] / (1 - Math.Pow(Beta1, _steps)), v = _v[i] / (1 - Math.Pow(Beta2, _steps));
                values[i] -= rate * Decay * values[i] + rate * m / (Math.Sqrt(v) + Epsilon);
                Gradient[i] = 0;
            }
        }
    }
}
