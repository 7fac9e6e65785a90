using TorchSharp;
using static TorchSharp.torch;

namespace DiffusionGemma;

/// <summary>
/// The experts of a layer: gate_up [E,2F,H] (gate rows first) and down [E,H,F]. The (token, choice) pairs are sorted by expert once; every
/// expert then works on one slice of them with a view of its own weights. No capacity limit, no dropped token.
/// </summary>
/// <example>
/// T = 3 tokens, K = 2 choices, E = 3 experts:
/// <code>
/// indices   t0: 2 0   t1: 0 1   t2: 2 0      pairs    a b c d e f   (t0's two, t1's two, t2's two)
/// sorted    b c f | d | a e                  experts  0     1   2
/// </code>
/// </example>
internal sealed class Experts(string name, Tensor gateUp, Tensor down)
{
    /// <summary>The stacks' common name in the checkpoint.</summary>
    public string Name { get; } = name;

    public Tensor GateUp { get; } = gateUp;

    public Tensor Down { get; } = down;

    public ExpertsLora? EncoderLora { get; set; }

    public ExpertsLora? DecoderLora { get; set; }

    /// <summary>y_t = Σ_k w_tk · down_e(gelu_tanh(gate_e(x_t)) · up_e(x_t)).</summary>
    /// <param name="x">[T,H].</param>
    /// <param name="weights">[T,K], at least float32.</param>
    /// <param name="indices">[T,K].</param>
    /// <param name="pass">Which adapter applies.</param>
    public Tensor Forward(Tensor x, Tensor weights, Tensor indices, Pass pass)
    {
        long tokens = x.shape[0], hidden = x.shape[1], choices = indices.shape[1];
        ExpertsLora? lora = pass == Pass.Encoder ? EncoderLora : DecoderLora;
        Tensor flat = indices.flatten();
        Tensor order = flat.sort(0, descending: false, stable: true).Indices;
        long[] counts = Counts(flat);

        // Repeated before it is permuted: the backward of a permutation scatters without collisions, so it is the same in every run.
        Tensor sorted = x.unsqueeze(1).expand(tokens, choices, hidden).reshape(tokens * choices, hidden).index_select(0, order);
        Tensor[] slices = sorted.split(counts, 0), gateUps = GateUp.unbind(0), downs = Down.unbind(0);
        var outputs = new List<Tensor>();
        for (int e = 0; e < counts.Length; e++)
        {
            if (counts[e] == 0) continue;
            Tensor projected = nn.functional.linear(slices[e], gateUps[e]);
            if (lora?.GateUp is { } gateUpLora) projected += gateUpLora.Delta(slices[e], e);
            Tensor[] gateAndUp = projected.chunk(2, -1);
            Tensor activated = GatedMlp.GeluTanh(gateAndUp[0]) * gateAndUp[1];
            Tensor output = nn.functional.linear(activated, downs[e]);
            if (lora?.Down is { } downLora) output += downLora.Delta(activated, e);
            outputs.Add(output);
        }

        Tensor unsorted = cat(outputs, 0).index_select(0, order.argsort());
        return (unsorted.view(tokens, choices, hidden) * weights.unsqueeze(-1)).sum(1).to(x.dtype);
    }

    private long[] Counts(Tensor indices)
    {
        using Tensor counts = indices.bincount(null, GateUp.shape[0]).cpu();
        return counts.data<long>().ToArray();
    }
}
