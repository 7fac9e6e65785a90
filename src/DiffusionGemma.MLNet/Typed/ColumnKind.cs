namespace DiffusionGemma;

/// <summary>Types of the values that are read from a JSON answer.</summary>
internal enum ColumnKind
{
    /// <summary>Text; a missing value is empty.</summary>
    Text,

    /// <summary>Int64, of integers that are never missing.</summary>
    Integer,

    /// <summary>Boolean, of such that are never missing.</summary>
    Boolean,

    /// <summary>Single; a missing value is NaN. Booleans are 0 and 1.</summary>
    Single,

    /// <summary>Double; a missing value is NaN.</summary>
    Double,

    /// <summary>A key over the values of an enum; a missing value is 0.</summary>
    Key,
}
