using static TorchSharp.torch;

namespace DiffusionGemma;

/// <summary>
/// A layer's experts with a custom backward. Of the T·K rows only gate and up are kept: rows of H numbers are gathered again, and the gated
/// activation is computed again. The routing weight w multiplies the activation and not the output, so that its gradient needs no output:
/// <para>
/// [g;u] = W_gu x, a = gelu(g) · u, y = Σ_k W_d (w a); with d = W_dᵀ dy: dw = d · a, da = w d, dg = da u gelu'(g), du = da gelu(g),
/// dx = Σ_k W_guᵀ [dg;du], dW_d = dyᵀ (w a), dW_gu = [dg;du]ᵀ x.
/// </para> With experts on several ranks (<see cref="ExpertExchange"/>) x and w go to an expert's owner and w y comes back; in the backward
/// dy goes, and x again where weights train, and dx and dw come back. An expert's own gradient is then complete on its owner.
/// </summary>
internal sealed class ExpertsFunction : AutogradFunction<ExpertsFunction>
{
    private const string CallKey = "call";

    /// <param name="x">[T,H].</param>
    /// <param name="weights">[T,K], at least float32.</param>
    /// <param name="routing">The pairs, sorted.</param>
    /// <param name="gateUp">[E,2F,H].</param>
    /// <param name="down">[E,H,F].</param>
    /// <param name="ranks">The ranks that share the experts; the stacks are this rank's part.</param>
    /// <param name="context">The pass.</param>
    /// <param name="reads">Reads counts of rows; null: those of the device.</param>
    /// <returns>[T,H].</returns>
    public static Tensor Compute(
        Tensor x, Tensor weights, ExpertRouting routing, ExpertStack gateUp, ExpertStack down, IExpertRanks ranks, PassContext context,
        IHostReads? reads = null)
    {
        ExpertExchange exchange = ExpertExchange.Create(routing.Rows, ranks, x.device, reads);
        var call = new Call(routing, exchange, gateUp, down, context);
        if (is_grad_enabled()) return Run(context.Backward, [x, weights, call, .. gateUp.Parameters, .. down.Parameters])[0];
        using (exchange) return call.Forward(x, weights).Result;
    }

    protected override Tensor[] Forward(autograd.AutogradContext context, object[] inputs)
    {
        var (x, weights, call) = ((Tensor)inputs[0], (Tensor)inputs[1], (Call)inputs[2]);
        (Tensor result, Tensor projected) = call.Forward(x, weights);
        context.save_data(CallKey, call.Kept());
        context.save_for_backward([x, weights, projected]);
        return [result];
    }

    protected override Tensor?[] Backward(autograd.AutogradContext context, IReadOnlyList<Tensor?> gradients)
    {
        using var call = (Call)context.get_data(CallKey);
        List<Tensor> saved = context.get_saved_variables();
        (Tensor x, Tensor weights) = call.Backward(gradients[0]!, saved[0], saved[1], saved[2]);
        return [x, weights, null, .. call.GateUp.Parameters.Select(_ => (Tensor?)null), .. call.Down.Parameters.Select(_ => (Tensor?)null)];
    }

    private sealed record Call(
        ExpertRouting Routing, ExpertExchange Exchange, ExpertStack GateUp, ExpertStack Down, PassContext Context) : IDisposable
    {
        /// <summary>Copies this with references of its own, which outlive the pass's scope.</summary>
        public Call Kept() => this with
        {
            Routing = Routing with
            {
                Order = Routing.Order.alias().DetachFromDisposeScope(),
                Tokens = Routing.Tokens.alias().DetachFromDisposeScope(),
                Places = Routing.Places.alias().DetachFromDisposeScope(),
            },
        };

        public (Tensor Result, Tensor Projected) Forward(Tensor x, Tensor weights)
        {
            using var scope = NewDisposeScope();
            Tensor projected = GateUp.Forward(Exchange.ToExperts(Routing.Sorted(x)), Exchange.Rows, Context);
            Tensor[] gateAndUp = projected.chunk(2, -1);
            Tensor activated = Kernels.GatedGelu(gateAndUp[0], gateAndUp[1], ExpertsWeights(weights));
            Tensor outputs = Exchange.FromExperts(Down.Forward(activated, Exchange.Rows, Context));
            return (Routing.Summed(outputs).MoveToOuterDisposeScope(), projected.MoveToOuterDisposeScope());
        }

        public (Tensor X, Tensor Weights) Backward(Tensor dy, Tensor x, Tensor weights, Tensor projected)
        {
            Tensor[] gateAndUp = projected.chunk(2, -1);
            (Tensor gate, Tensor up, Tensor w) = (gateAndUp[0], gateAndUp[1], ExpertsWeights(weights));
            Tensor inner = Down.Backward(
                Exchange.ToExperts(Routing.Sorted(dy)), () => Kernels.GatedGelu(gate, up, w), Exchange.Rows, Context.Gradients);
            Tensor both = empty_like(projected);
            Tensor[] halves = both.chunk(2, -1);
            Tensor dw = Kernels.GatedGeluBackward(inner, gate, up, w, halves[0], halves[1]);
            Tensor weightGradient = TorchOperators.SelectRows(Exchange.FromExperts(dw), Routing.Places).view(weights.shape);
            Tensor sorted = Exchange.FromExperts(
                GateUp.Backward(both, () => Exchange.ToExperts(Routing.Sorted(x)), Exchange.Rows, Context.Gradients));
            return (Routing.Summed(sorted), weightGradient);
        }

        public void Dispose()
        {
            Routing.Order.Dispose();
            Routing.Tokens.Dispose();
            Routing.Places.Dispose();
            Exchange.Dispose();
        }

        /// <summary>
        /// Sends the routing weights [N,1] to the experts in their own dtype: in bfloat16 their product with the activation is rounded
        /// once.
        /// </summary>
        private Tensor ExpertsWeights(Tensor weights) =>
            Exchange.ToExperts(TorchOperators.SelectRows(weights.flatten(), Routing.Order).unsqueeze(-1));
    }
}
