using System.Numerics;
using System.Numerics.Tensors;

namespace DiffusionGemma;

/// <summary>
/// Sums over the classes of a token automaton of one canvas's distributions: all that a denoising step needs of the vocabulary. Of each
/// position and class: log Σ exp(l), the mean of l, its maximum, and the lowest token that has it. Each class is shifted by its own
/// maximum: within a position tokens differ by more than a float's exponent holds.
/// </summary>
/// <typeparam name="T">The logits' type: float, or double for the tests' judge.</typeparam>
internal sealed class ClassSums<T>
    where T : unmanaged, IBinaryFloatingPointIeee754<T>
{
    private readonly TokenAutomaton _automaton;
    private readonly T[] _gathered, _exponentials;

    /// <param name="automaton">The classes.</param>
    /// <param name="positions">Positions of a canvas.</param>
    public ClassSums(TokenAutomaton automaton, int positions)
    {
        _automaton = automaton;
        int classes = automaton.ClassCount, largest = 0;
        for (int c = 0; c < classes; c++) largest = Math.Max(largest, automaton.MembersOf(c).Length);
        (_gathered, _exponentials) = (new T[largest], new T[largest]);
        LogSums = new double[positions * classes];
        Means = new double[positions * classes];
        Maxima = new double[positions * classes];
        Likeliest = new int[positions * classes];
    }

    /// <summary>[positions, classes]: log Σ exp(l) of a class's tokens.</summary>
    public double[] LogSums { get; }

    /// <summary>[positions, classes]: Σ exp(l) l / Σ exp(l).</summary>
    public double[] Means { get; }

    /// <summary>[positions, classes]: the largest l.</summary>
    public double[] Maxima { get; }

    /// <summary>[positions, classes]: the lowest token that has the largest l.</summary>
    public int[] Likeliest { get; }

    /// <summary>Reads one position.</summary>
    /// <param name="position">Which.</param>
    /// <param name="logits">[V]: l, scaled by the temperature. Minus infinity: impossible.</param>
    public void Read(int position, ReadOnlySpan<T> logits)
    {
        int classes = _automaton.ClassCount;
        for (int c = 0; c < classes; c++)
        {
            ReadOnlySpan<int> members = _automaton.MembersOf(c);
            int at = position * classes + c;
            if (members.Length == 1)
            {
                T only = logits[members[0]];
                (LogSums[at], Means[at], Maxima[at], Likeliest[at]) = (
                    double.CreateChecked(only), double.CreateChecked(only), double.CreateChecked(only), members[0]);
                continue;
            }
            Span<T> gathered = _gathered.AsSpan(0, members.Length), exponentials = _exponentials.AsSpan(0, members.Length);
            for (int i = 0; i < members.Length; i++) gathered[i] = logits[members[i]];
            int largest = TensorPrimitives.IndexOfMax<T>(gathered);
            T shift = gathered[largest];
            (Maxima[at], Likeliest[at]) = (double.CreateChecked(shift), members[largest]);
            if (T.IsNegativeInfinity(shift))
            {
                (LogSums[at], Means[at]) = (double.NegativeInfinity, 0);
                continue;
            }
            TensorPrimitives.Subtract<T>(gathered, shift, gathered);
            TensorPrimitives.Exp<T>(gathered, exponentials);
            double sum = double.CreateChecked(TensorPrimitives.Sum<T>(exponentials));
            // exp(-∞) · -∞ counts as nothing.
            TensorPrimitives.Max(gathered, T.CreateChecked(-1e30), gathered);
            double weighted = double.CreateChecked(TensorPrimitives.Dot<T>(exponentials, gathered));
            LogSums[at] = double.CreateChecked(shift) + Math.Log(sum);
            Means[at] = double.CreateChecked(shift) + weighted / sum;
        }
    }

    /// <summary>A position whose token is known: of its class the token alone is possible, of other classes none.</summary>
    public void Pin(int position, int token)
    {
        int classes = _automaton.ClassCount;
        for (int c = 0; c < classes; c++)
        {
            int at = position * classes + c;
            bool isHere = c == _automaton.Classes[token];
            double value = isHere ? 0 : double.NegativeInfinity;
            (LogSums[at], Means[at], Maxima[at], Likeliest[at]) = (
                value, 0, value, isHere ? token : _automaton.MembersOf(c)[0]);
        }
    }
}
