namespace DiffusionGemma;

/// <summary>
/// A weight matrix in the CPU's memory whose numbers are stored in another form than float32. Products widen some of its rows at a time to
/// float32, in a cache, and multiply with those.
/// </summary>
internal unsafe interface IStoredRows
{
    /// <summary>Numbers of a row.</summary>
    long Columns { get; }

    /// <summary>Writes rows [first, first + count) as float32 numbers. Several threads call it at once.</summary>
    /// <param name="first">The first row; those of a stack of matrices are numbered through.</param>
    /// <param name="count">How many.</param>
    /// <param name="to">[count,<see cref="Columns"/>]; written.</param>
    void Widen(long first, long count, float* to);
}
