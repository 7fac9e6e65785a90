namespace DiffusionGemma;

/// <summary>The rows of one step, and all that is random about them.</summary>
/// <param name="Step">Steps before this one.</param>
/// <param name="Epoch">Passes over the rows before this one.</param>
/// <param name="Rows">Their indices.</param>
/// <param name="Examples">The rows, in the global batch's order.</param>
/// <param name="Draws">One a row.</param>
internal sealed record PreparedStep(
    int Step, int Epoch, IReadOnlyList<int> Rows, IReadOnlyList<TrainingExample> Examples, IReadOnlyList<ExampleDraw> Draws);
