namespace DiffusionGemma;

/// <summary>The matrices of a file that one weight of the model is stored in.</summary>
/// <param name="Shape">[out,in], or [E,out,in] of a stack.</param>
/// <param name="Slices">[E], or one: the matrices whose rows are the slice's, in order (gate and up of an expert, for example).</param>
internal sealed record WeightLayout(IReadOnlyList<long> Shape, IReadOnlyList<IReadOnlyList<MatrixLayout>> Slices);
