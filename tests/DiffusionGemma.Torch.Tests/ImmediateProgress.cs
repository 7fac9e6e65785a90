namespace DiffusionGemma;

/// <summary>A progress that calls on the reporting thread at once.</summary>
internal sealed class ImmediateProgress<T>(Action<T> act) : IProgress<T>
{
    public void Report(T value) => act(value);
}
