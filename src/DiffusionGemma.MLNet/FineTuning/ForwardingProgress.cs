namespace DiffusionGemma;

/// <summary>Handles a value on the reporting thread, then forwards it to another listener.</summary>
/// <param name="handle">Called first.</param>
/// <param name="next">The other listener; null: nobody.</param>
internal sealed class ForwardingProgress<T>(Action<T> handle, IProgress<T>? next) : IProgress<T>
{
    public void Report(T value)
    {
        handle(value);
        next?.Report(value);
    }
}
