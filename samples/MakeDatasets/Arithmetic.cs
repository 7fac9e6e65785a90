namespace DiffusionGemma.Samples;

/// <summary>
/// Makes questions about sums of numbers from 0 to 10, of five kinds, with answers in GSM8K's form: the working, then <c>#### </c> and the
/// result.
/// </summary>
/// <remarks>
/// The checkpoint tiny-chat knows these questions but answers them in a sentence, so that fine-tuning shows in the form of the answer.
/// </remarks>
internal static class Arithmetic
{
    private const int LargestNumber = 10;

    private static readonly string[] Names = ["Tom", "Anna", "Mary", "John", "Sam", "Lisa", "Peter", "Jane"];
    private static readonly string[] Things = ["apples", "books", "eggs", "cookies", "pencils", "balls", "flowers", "marbles"];

    /// <summary>
    /// Held-out questions are all different, and none of them is among the training rows. (Those repeat: there are few short sums.)
    /// </summary>
    public static (IReadOnlyList<QuestionAnswer> Train, IReadOnlyList<QuestionAnswer> Test) Make(int trainRows, int testRows, ulong seed)
    {
        var random = new SplitMix64(seed);
        var heldOut = new HashSet<string>();
        List<QuestionAnswer> test = [], train = [];
        while (test.Count < testRows)
        {
            QuestionAnswer row = DrawNew(random, heldOut);
            heldOut.Add(row.Question);
            test.Add(row);
        }
        while (train.Count < trainRows)
            train.Add(DrawNew(random, heldOut));
        return (train, test);
    }

    /// <summary>Draws a question that is not taken.</summary>
    /// <remarks>The kind is drawn once, so that all five stay equally frequent.</remarks>
    private static QuestionAnswer DrawNew(SplitMix64 random, HashSet<string> taken)
    {
        int kind = random.Below(5);
        while (true)
        {
            QuestionAnswer row = Draw(random, kind);
            if (!taken.Contains(row.Question))
                return row;
        }
    }

    private static QuestionAnswer Draw(SplitMix64 random, int kind)
    {
        int a = random.Below(LargestNumber + 1), b = random.Below(LargestNumber + 1);
        string name = Names[random.Below(Names.Length)], thing = Things[random.Below(Things.Length)];
        if (kind is 1 or 4)
            (a, b) = (Math.Max(a, b), Math.Min(a, b));              // nothing falls below zero
        return kind switch
        {
            0 => new($"What is {a} plus {b}?", Work(a, '+', b, a + b)),
            1 => new($"What is {a} minus {b}?", Work(a, '-', b, a - b)),
            2 => new($"What is {a} times {b}?", Work(a, '*', b, a * b)),
            3 => new($"{name} has {a} {thing} and buys {b} more. How many {thing} does {name} have?", Work(a, '+', b, a + b)),
            _ => new($"{name} has {a} {thing} and gives away {b}. How many {thing} does {name} have?", Work(a, '-', b, a - b)),
        };
    }

    private static string Work(int a, char sign, int b, int result) => $"{a}{sign}{b}={result}\n#### {result}";
}
