namespace DiffusionGemma;

/// <summary>
/// The callers' side of a <see cref="DenoisingLoop"/>: supplies rows, and is called with what becomes of them, on the loop's thread.
/// </summary>
internal interface IDenoisingClient
{
    /// <summary>Supplies the rows that join before the next decoder pass; may wait for some while no row is running.</summary>
    /// <param name="running">Rows in the batch.</param>
    /// <returns>The rows, if any; null ends the loop.</returns>
    /// <exception cref="OperationCanceledException">Ends the loop, as any other exception does.</exception>
    Admission? Admit(int running);

    /// <summary>Says before a decoder pass that a row is to leave without an answer.</summary>
    bool IsCancelled(DenoisingRow row);

    /// <summary>Called after each decoder pass for every row whose canvas was not finished.</summary>
    void OnStep(DenoisingRow row, DenoisingStep step);

    /// <summary>Called for every committed canvas.</summary>
    void OnCanvas(DenoisingRow row, CanvasUpdate canvas);

    /// <summary>Called when a row leaves with its complete answer.</summary>
    void OnCompleted(DenoisingRow row);

    /// <summary>Called when a row leaves because <see cref="IsCancelled"/> said so.</summary>
    void OnCancelled(DenoisingRow row);

    /// <summary>
    /// Called when a row cannot go on: its distributions are not finite, or its stop criterion or observer threw. Rethrowing ends the loop.
    /// </summary>
    void OnFailed(DenoisingRow row, Exception error);
}
