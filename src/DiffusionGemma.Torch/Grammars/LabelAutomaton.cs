using System.Text;

namespace DiffusionGemma;

/// <summary>The automaton of labels: a tree, so that every label ends in a state of its own and can be scored by itself.</summary>
internal static class LabelAutomaton
{
    public static ByteAutomaton Create(IReadOnlyList<string> labels)
    {
        var table = new StateTable(ByteAutomaton.Bytes);
        var answers = new List<int>();
        int Add()
        {
            answers.Add(-1);
            return table.Add(isFinal: false);
        }
        Add();
        for (int label = 0; label < labels.Count; label++)
        {
            int state = 0;
            foreach (byte symbol in Encoding.UTF8.GetBytes(labels[label]))
            {
                int next = table.Next[state * ByteAutomaton.Bytes + symbol];
                if (next < 0) table.Connect(state, symbol, next = Add());
                state = next;
            }
            answers[state] = label;
        }
        return new ByteAutomaton(table.Next.ToArray(), [], 0, [.. answers]);
    }
}
