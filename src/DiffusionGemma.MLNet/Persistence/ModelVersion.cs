using Microsoft.ML;

namespace DiffusionGemma;

/// <summary>Version headers of this library's parts in a saved model.</summary>
internal static class ModelVersion
{
    /// <param name="signature">Exactly eight characters.</param>
    /// <param name="version">Counts the layouts of a part; each reads all before it.</param>
    /// <param name="loader">At most 24 characters: the name under which ML.NET finds the part's loader.</param>
    public static VersionInfo Create(string signature, ushort version, string loader)
    {
        const uint Major = 0x0001_0000;
        // The simple name of the assembly: a saved model is not tied to the version that wrote it.
        return new VersionInfo(signature, Major | version, Major | version, Major | 1u, typeof(ModelVersion).Assembly.GetName().Name,
            loader);
    }
}
