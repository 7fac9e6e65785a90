using static TorchSharp.torch;

namespace DiffusionGemma;

/// <summary>
/// Base class of all custom autograd functions. TorchSharp's own has traps that abort the process or leak memory: a managed exception
/// inside a backward callback, a wrong number of gradients, temporaries that no scope owns (on CUDA the backward runs on a thread of
/// libtorch's own), and gradients that a collection frees before the engine took them. Here both directions run in scopes, and <see
/// cref="BackwardPass"/> rethrows exceptions.
/// </summary>
internal abstract class AutogradFunction<T> : autograd.MultiTensorFunction<T>
    where T : AutogradFunction<T>, new()
{
    private const string BackwardKey = "backward pass", InputsKey = "number of inputs";

    public override string Name => typeof(T).Name;

    /// <summary>Computes the outputs; gradients flow to those of <paramref name="inputs"/> that are tensors.</summary>
    /// <param name="backward">The pass that will run the backward of these outputs.</param>
    /// <param name="inputs">Arguments of <see cref="Forward"/>.</param>
    public static Tensor[] Run(BackwardPass backward, params object[] inputs)
    {
        using var scope = NewDisposeScope();
        return [.. apply([backward, .. inputs]).Select(t => t.MoveToOuterDisposeScope())];
    }

    public sealed override List<Tensor> forward(autograd.AutogradContext ctx, params object[] v)
    {
        ctx.set_materialize_grads(false);
        ctx.save_data(BackwardKey, v[0]);
        ctx.save_data(InputsKey, v.Length);
        return [.. Forward(ctx, v[1..])];
    }

    public sealed override List<Tensor> backward(autograd.AutogradContext ctx, List<Tensor> grad_outputs)
    {
        Tensor?[] gradients;
        var pass = (BackwardPass)ctx.get_data(BackwardKey);
        int inputs = (int)ctx.get_data(InputsKey);                                               // the pass, and the function's own
        try
        {
            using var scope = NewDisposeScope();
            var incoming = new Tensor?[grad_outputs.Count];
            for (int i = 0; i < incoming.Length; i++)
            {
                if (grad_outputs[i] is not { IsInvalid: false } gradient) continue;
                scope.Attach(gradient);
                incoming[i] = gradient;
            }
            // After a fault the engine still calls the remaining functions: they must not compute, nor enter collectives of other ranks.
            gradients = pass.HasFailed ? new Tensor?[inputs] : [null, .. Backward(ctx, incoming)];
            if (gradients.Length != inputs)
                throw new InvalidOperationException($"{Name} returned {gradients.Length - 1} gradients for {inputs - 1} inputs.");
            foreach (Tensor? gradient in gradients) gradient?.DetachFromDisposeScope();
            // frees saved tensors, which TorchSharp would keep as long as the graph
            ctx.Dispose();
        }
        catch (Exception e)
        {
            pass.Fail(e);
            gradients = new Tensor?[inputs];                                                 // any other number would abort the process
        }

        pass.KeepReturnedGradients([.. gradients.OfType<Tensor>()]);
        return gradients.ToList()!;
    }

    /// <summary>Computes the outputs without gradient, and saves what the backward needs in the context.</summary>
    protected abstract Tensor[] Forward(autograd.AutogradContext context, object[] inputs);

    /// <summary>
    /// Computes one gradient an input, null for inputs without; <paramref name="gradients"/> holds null for outputs that were not used.
    /// </summary>
    protected abstract Tensor?[] Backward(autograd.AutogradContext context, IReadOnlyList<Tensor?> gradients);
}
