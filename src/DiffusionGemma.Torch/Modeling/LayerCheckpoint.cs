using static TorchSharp.torch;

namespace DiffusionGemma;

/// <summary>
/// Activation checkpointing of a layer: its activations are freed after the forward and computed again in the backward; its input and its
/// keys and values are kept. Gradients are the same to the last bit, those that reach the encoder through its cache too.
/// </summary>
internal sealed class LayerCheckpoint : AutogradFunction<LayerCheckpoint>
{
    private const string CallKey = "call";

    /// <summary>
    /// Runs <see cref="TransformerLayer.Forward"/>; <paramref name="x"/> must require a gradient, or the layer's weights would get none.
    /// The decoder's own keys and values, which are not read, are not returned.
    /// </summary>
    public static (Tensor Hidden, KeyValues? Fresh) Forward(
        TransformerLayer layer, Tensor x, TensorLayerCache? past, (Tensor Cos, Tensor Sin) angles, Tensor? mask, PassContext context,
        Tensor? real)
    {
        // Angles and masks belong to a scope that ends with the pass: the backward needs references of its own.
        static Tensor Kept(Tensor tensor) => tensor.alias().DetachFromDisposeScope();
        var call = new Call(
            layer, Kept(angles.Cos), Kept(angles.Sin), mask is null ? null : Kept(mask), context, real is null ? null : Kept(real));
        Tensor[] outputs = past is null ? Run(context.Backward, call, x) : Run(context.Backward, call, x, past.Held.Keys, past.Held.Values);
        if (context.Pass == Pass.Decoder) return (outputs[0], null);
        var fresh = new KeyValues(outputs[1], outputs[2]);
        past?.Append(fresh);
        return (outputs[0], fresh);
    }

    protected override Tensor[] Forward(autograd.AutogradContext context, object[] inputs)
    {
        var call = (Call)inputs[0];
        Tensor[] tensors = [.. inputs.Skip(1).Cast<Tensor>()];
        context.save_data(CallKey, call);
        context.save_for_backward([.. tensors]);
        using var scope = NewDisposeScope();
        return [.. call.Outputs(tensors, call.Context).Select(t => t.MoveToOuterDisposeScope())];
    }

    protected override Tensor?[] Backward(autograd.AutogradContext context, IReadOnlyList<Tensor?> gradients)
    {
        using var call = (Call)context.get_data(CallKey);
        Tensor[] inputs = [.. context.get_saved_variables().Select(t => t.detach().requires_grad_(true))];
        PassContext recomputed = call.Context with { Backward = new BackwardPass() };              // a backward within the backward
        Tensor[] outputs;
        using (enable_grad()) outputs = call.Outputs(inputs, recomputed);
        recomputed.Backward.Run([.. outputs.Zip(gradients)]);
        return [null, .. inputs.Select(i => i.grad)];
    }

    private sealed record Call(
        TransformerLayer Layer, Tensor Cos, Tensor Sin, Tensor? Mask, PassContext Context, Tensor? Real) : IDisposable
    {
        public Tensor[] Outputs(Tensor[] inputs, PassContext context)
        {
            TensorLayerCache? past = inputs.Length == 1 ? null : new TensorLayerCache(new KeyValues(inputs[1], inputs[2]));
            (Tensor hidden, KeyValues fresh) = Layer.Forward(inputs[0], past, (Cos, Sin), Mask, context, Real);
            return context.Pass == Pass.Decoder ? [hidden] : [hidden, fresh.Keys, fresh.Values];
        }

        public void Dispose()
        {
            Cos.Dispose();
            Sin.Dispose();
            Mask?.Dispose();
            Real?.Dispose();
        }
    }
}
