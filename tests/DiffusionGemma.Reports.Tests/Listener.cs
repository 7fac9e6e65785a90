namespace DiffusionGemma;

/// <summary>Calls a function at each report, on the thread that reports.</summary>
internal sealed class Listener<T>(Action<T> listen) : IProgress<T>
{
    public void Report(T value) => listen(value);
}
