using System.Text;

namespace DiffusionGemma;

/// <summary>The automaton of labels: a tree, so that every label ends in a state of its own and can be scored by itself.</summary>
internal static class LabelAutomaton
{
    public static ByteAutomaton Create(IReadOnlyList<string> labels)
    {
        var next = new List<int[]>();
        var answers = new List<int>();
        int Add()
        {
            int[] row = new int[ByteAutomaton.Bytes];
            Array.Fill(row, -1);
            next.Add(row);
            answers.Add(-1);
            return answers.Count - 1;
        }
        Add();
        for (int label = 0; label < labels.Count; label++)
        {
            int state = 0;
            foreach (byte symbol in Encoding.UTF8.GetBytes(labels[label]))
            {
                if (next[state][symbol] < 0) next[state][symbol] = Add();
                state = next[state][symbol];
            }
            answers[state] = label;
        }
        return new ByteAutomaton([.. next.SelectMany(row => row)], [], 0, [.. answers]);
    }
}
