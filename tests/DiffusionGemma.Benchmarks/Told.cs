namespace DiffusionGemma.Benchmarks;

/// <summary>Progress told at once, on the reporting thread.</summary>
internal sealed class Told<T>(Action<T> tell) : IProgress<T>
{
    public void Report(T value) => tell(value);
}
