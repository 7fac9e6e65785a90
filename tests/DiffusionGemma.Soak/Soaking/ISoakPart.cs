namespace DiffusionGemma.Soak;

/// <summary>Work of one kind, in slices.</summary>
internal interface ISoakPart : IDisposable
{
    /// <summary>Name of the work in the table.</summary>
    string Name { get; }

    /// <summary>Does one slice.</summary>
    /// <exception cref="InvalidDataException">A result is not what it must be.</exception>
    Task<Work> RunSliceAsync();
}
