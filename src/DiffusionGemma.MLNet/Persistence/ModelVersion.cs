using Microsoft.ML;
using Microsoft.ML.Runtime;

namespace DiffusionGemma;

/// <summary>Version headers of this library's parts in a saved model.</summary>
internal static class ModelVersion
{
    private const uint Major = 0x0001_0000;

    /// <param name="signature">Exactly eight characters.</param>
    /// <param name="version">Number of the part's layout; each release reads all layouts before its own.</param>
    /// <param name="loader">At most 24 characters: the name under which ML.NET finds the part's loader.</param>
    public static VersionInfo Create(string signature, ushort version, string loader) =>
        // The simple name of the assembly: a saved model is not tied to the version that wrote it.
        new(signature, Major | version, Major | version, Major | 1u, typeof(ModelVersion).Assembly.GetName().Name, loader);

    /// <summary>True where the part was saved in this layout or a later one.</summary>
    public static bool IsSince(ModelLoadContext ctx, ushort version) => ctx.Header.ModelVerWritten >= (Major | version);

    /// <summary>Checks a part's header before it is read.</summary>
    /// <exception cref="FormatException">A newer version of the library saved the part, or it is damaged.</exception>
    public static void Check(ModelLoadContext ctx, IHostEnvironment environment, VersionInfo version)
    {
        if (ctx.Header.ModelVerReadable > version.VerWrittenCur)
        {
            throw LoadFault.Report(environment, new FormatException(
                $"The model was saved by a newer version of DiffusionGemma.MLNet: its part {version.LoaderSignature} has layout "
                + $"{(ushort)ctx.Header.ModelVerWritten}, this version reads up to {(ushort)version.VerWrittenCur}. Update the package."));
        }
        ctx.CheckAtModel(version);
    }
}
