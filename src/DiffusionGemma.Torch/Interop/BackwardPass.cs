using System.Runtime.ExceptionServices;
using static TorchSharp.torch;

namespace DiffusionGemma;

/// <summary>
/// Runs one backward through custom autograd functions, reports the first exception of their callbacks, and keeps the gradients that they
/// return alive. A function captures it in its forward, so that its callback finds it on whichever thread libtorch calls: on CUDA that is a
/// thread of libtorch's own.
/// </summary>
internal sealed class BackwardPass
{
    private readonly Lock _gate = new();
    private readonly Dictionary<int, Tensor[]> _returnedGradients = [];                         // by managed thread
    private Exception? _firstFault;

    /// <summary>True once a callback has thrown, until <see cref="Run(Tensor)"/> rethrows its exception.</summary>
    public bool HasFailed
    {
        get
        {
            lock (_gate) return _firstFault is not null;
        }
    }

    /// <summary>Records what a callback threw; only the first exception is kept.</summary>
    public void Fail(Exception fault)
    {
        lock (_gate) _firstFault ??= fault;
    }

    /// <summary>
    /// Roots the gradients that a callback is about to return until the next callback on its thread, or until the backward ends: the engine
    /// takes references of its own only after the callback has returned.
    /// </summary>
    public void KeepReturnedGradients(Tensor[] gradients)
    {
        Tensor[] former;
        lock (_gate)
        {
            former = _returnedGradients.GetValueOrDefault(Environment.CurrentManagedThreadId, []);
            _returnedGradients[Environment.CurrentManagedThreadId] = gradients;
        }
        foreach (Tensor gradient in former) gradient.Dispose();
    }

    /// <summary>Calls loss.backward(), then throws the first exception of a callback. Gradients are then unusable.</summary>
    /// <param name="loss">A scalar, computed by functions that captured this pass.</param>
    /// <exception cref="Exception">A callback failed: its own exception, with its stack trace.</exception>
    public void Run(Tensor loss) => Run(loss.backward);

    /// <summary>Starts from several tensors whose gradients are known.</summary>
    /// <param name="roots">Tensors and their gradients; a tensor without gradient is left out.</param>
    /// <inheritdoc cref="Run(Tensor)" path="/exception"/>
    public void Run(IReadOnlyList<(Tensor Output, Tensor? Gradient)> roots)
    {
        var reached = roots.Where(root => root.Gradient is not null).ToList();
        if (reached.Count > 0)
            Run(() => autograd.backward([.. reached.Select(root => root.Output)], [.. reached.Select(root => root.Gradient!)]));
    }

    private void Run(Action backward)
    {
        try
        {
            backward();
        }
        finally
        {
            ReleaseReturnedGradients();
        }
        Exception? fault;
        lock (_gate) (fault, _firstFault) = (_firstFault, null);
        if (fault is not null) ExceptionDispatchInfo.Throw(fault);
    }

    private void ReleaseReturnedGradients()
    {
        lock (_gate)
        {
            foreach (Tensor gradient in _returnedGradients.Values.SelectMany(gradients => gradients)) gradient.Dispose();
            _returnedGradients.Clear();
        }
    }
}
