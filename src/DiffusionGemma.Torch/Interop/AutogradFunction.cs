using System.Runtime.ExceptionServices;
using TorchSharp;
using static TorchSharp.torch;

namespace DiffusionGemma;

/// <summary>
/// The one base of custom autograd functions. TorchSharp's own has traps that abort the process or leak: a managed exception inside a
/// backward callback, temporaries that no scope owns (on CUDA the backward runs on a thread of libtorch's own), gradients freed by a
/// collection before the engine took them. Here both directions run in scopes, and an exception comes out of <see cref="AutogradFaults"/>.
/// </summary>
internal abstract class AutogradFunction<T> : autograd.MultiTensorFunction<T>
    where T : AutogradFunction<T>, new()
{
    private const string FaultKey = "faults", InputsKey = "inputs";

    public override string Name => typeof(T).Name;

    /// <summary>The result; gradients flow to those of <paramref name="inputs"/> that are tensors.</summary>
    public static Tensor[] Run(params object[] inputs)
    {
        using var scope = NewDisposeScope();
        return [.. apply(inputs).Select(t => t.MoveToOuterDisposeScope())];
    }

    public sealed override List<Tensor> forward(autograd.AutogradContext ctx, params object[] v)
    {
        ctx.set_materialize_grads(false);
        ctx.save_data(FaultKey, AutogradFaults.OfThisThread);
        ctx.save_data(InputsKey, v.Length);
        return [.. Forward(ctx, v)];
    }

    public sealed override List<Tensor> backward(autograd.AutogradContext ctx, List<Tensor> grad_outputs)
    {
        Tensor?[] gradients;
        var faults = (AutogradFaults)ctx.get_data(FaultKey);
        int inputs = (int)ctx.get_data(InputsKey);
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
            // After a fault the engine goes on with what is left: nothing of it counts, and other ranks must not meet this one where it has no business.
            gradients = faults.Any ? new Tensor?[inputs] : Backward(ctx, incoming);
            if (gradients.Length != inputs) throw new InvalidOperationException($"{Name} gave {gradients.Length} gradients for {inputs} inputs.");
            foreach (Tensor? gradient in gradients) gradient?.DetachFromDisposeScope();
            ctx.Dispose();                                                                   // what was saved: TorchSharp would keep it until the whole graph goes
        }
        catch (Exception e)
        {
            faults.Add(e);
            gradients = new Tensor?[inputs];                                                 // any other number ends the process
        }

        HandedOut.Replace([.. gradients.OfType<Tensor>()]);
        return gradients.ToList()!;
    }

    /// <summary>The outputs, computed without gradient. Save what the backward needs in the context.</summary>
    protected abstract Tensor[] Forward(autograd.AutogradContext context, object[] inputs);

    /// <summary>One gradient an input, null for inputs without; <paramref name="gradients"/> holds null for outputs that were not used.</summary>
    protected abstract Tensor?[] Backward(autograd.AutogradContext context, IReadOnlyList<Tensor?> gradients);
}

/// <summary>
/// Gradients that a callback has returned: the engine takes its own references after that, so they stay rooted until the next callback on the thread, or
/// until the whole backward is over.
/// </summary>
internal static class HandedOut
{
    [ThreadStatic]
    private static List<Tensor>? _ofThisThread;

    public static void Replace(List<Tensor>? gradients)
    {
        _ofThisThread?.ForEach(t => t.Dispose());
        _ofThisThread = gradients;
    }
}

/// <summary>What custom backward callbacks threw, kept for the thread that ran the forward.</summary>
internal sealed class AutogradFaults
{
    [ThreadStatic]
    private static AutogradFaults? _ofThisThread;

    private readonly Lock _gate = new();
    private Exception? _first;

    public static AutogradFaults OfThisThread => _ofThisThread ??= new AutogradFaults();

    /// <summary>Whether a callback has thrown since the last backward pass.</summary>
    public bool Any
    {
        get
        {
            lock (_gate) return _first is not null;
        }
    }

    public void Add(Exception fault)
    {
        lock (_gate) _first ??= fault;
    }

    /// <summary>loss.backward(), then throws the first exception of a callback, if there was one. Gradients are then unusable.</summary>
    public static void Backward(Tensor loss) => Backward(loss.backward);

    /// <summary>The same, from several tensors whose gradients are known; where one is null, nothing starts from its tensor.</summary>
    public static void Backward(IReadOnlyList<(Tensor Output, Tensor? Gradient)> roots)
    {
        var reached = roots.Where(root => root.Gradient is not null).ToList();
        if (reached.Count > 0) Backward(() => autograd.backward([.. reached.Select(root => root.Output)], [.. reached.Select(root => root.Gradient!)]));
    }

    private static void Backward(Action backward)
    {
        AutogradFaults faults = OfThisThread;
        backward();
        HandedOut.Replace(null);
        Exception? first;
        lock (faults._gate) (first, faults._first) = (faults._first, null);
        if (first is ProcessGroupException) ExceptionDispatchInfo.Throw(first);
        if (first is not null) throw new InvalidOperationException($"A backward function failed: {first.Message}", first);
    }
}
