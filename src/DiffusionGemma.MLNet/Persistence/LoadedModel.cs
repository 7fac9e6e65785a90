namespace DiffusionGemma;

/// <summary>A model and the adapter that is set on it, freed together.</summary>
internal sealed record LoadedModel(DiffusionGemmaModel Model, LoraAdapter? Adapter) : IDisposable
{
    public void Dispose()
    {
        Model.Adapter = null;
        Adapter?.Dispose();
        Model.Dispose();
    }
}
