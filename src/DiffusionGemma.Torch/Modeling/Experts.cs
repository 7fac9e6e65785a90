using static TorchSharp.torch;

namespace DiffusionGemma;

/// <summary>
/// The experts of a layer: gate_up [E,2F,H] (gate rows first) and down [E,H,F]. The (token, choice) pairs are sorted by expert once; every
/// expert then computes one slice of them with a view of its own weights. No capacity limit, no dropped token. Where n ranks share the
/// experts, the stacks are this rank's part, [E/n,...].
/// </summary>
/// <param name="name">The stacks' common name in the checkpoint.</param>
/// <param name="gateUp">[E,2F,H].</param>
/// <param name="down">[E,H,F].</param>
/// <param name="ranks">The ranks that share the layer's experts.</param>
/// <param name="reads">Reads counts of rows; null: those of the device.</param>
/// <param name="countsOnDevice">True to leave the counts of rows on the device, where one rank has all experts (<see
/// cref="GroupedProducts"/>); ranks that exchange rows read them.</param>
internal sealed class Experts(
    string name, StoredWeight gateUp, StoredWeight down, IExpertRanks ranks, IHostReads? reads = null, bool countsOnDevice = false)
{
    /// <summary>The stacks' common name in the checkpoint.</summary>
    public string Name { get; } = name;

    public StoredWeight GateUp { get; } = gateUp;

    public StoredWeight Down { get; } = down;

    /// <summary>The ranks that share the layer's experts.</summary>
    public IExpertRanks Ranks => ranks;

    public ExpertsLora? EncoderLora { get; set; }

    public ExpertsLora? DecoderLora { get; set; }

    /// <summary>Computes y_t = Σ_k down_e(w_tk · gelu_tanh(gate_e(x_t)) · up_e(x_t)).</summary>
    /// <param name="x">[T,H].</param>
    /// <param name="weights">[T,K], at least float32.</param>
    /// <param name="indices">[T,K].</param>
    /// <param name="context">The pass, which selects the adapter.</param>
    public Tensor Forward(Tensor x, Tensor weights, Tensor indices, PassContext context)
    {
        ExpertRouting routing = ExpertRouting.Sort(indices, GateUp.Shape[0] * ranks.Size, reads, countsOnDevice && ranks.Size == 1);
        if (context.Adapters is { Only: null } adapters)
        {
            if (ranks.Size > 1) throw new InvalidOperationException("Rows of several adapters need all experts on one rank.");
            var deltas = adapters.OfExperts(Name, context.Pass, indices, routing, reads);
            return ExpertsFunction.Compute(
                x, weights, routing, ExpertStack.OfRows(GateUp, [.. deltas.Select(d => (d.Lora.GateUp, d.Places))]),
                ExpertStack.OfRows(Down, [.. deltas.Select(d => (d.Lora.Down, d.Places))]), ranks, context, reads);
        }
        ExpertsLora? lora = context.Adapters?.Only is { } only
            ? only.OfExperts(Name, context.Pass)
            : context.Pass == Pass.Encoder ? EncoderLora : DecoderLora;
        return ExpertsFunction.Compute(
            x, weights, routing, new ExpertStack(GateUp, lora?.GateUp), new ExpertStack(Down, lora?.Down), ranks, context, reads);
    }
}
