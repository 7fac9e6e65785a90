namespace DiffusionGemma;

/// <summary>Accuracy of one field of answers in JSON.</summary>
/// <param name="Field">Names of the properties on the way, with dots between them.</param>
/// <param name="Rows">Rows in which the field is expected or answered.</param>
/// <param name="Correct">Rows in which both are the same.</param>
public sealed record FieldMetrics(string Field, int Rows, int Correct)
{
    /// <summary>Correct rows over all.</summary>
    public double Accuracy => Rows == 0 ? 0 : (double)Correct / Rows;
}
