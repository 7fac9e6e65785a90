using System.Diagnostics;

namespace DiffusionGemma;

/// <summary>Native libraries that this process has loaded.</summary>
internal static class LoadedLibraries
{
    /// <summary>Returns the path of the first loaded library with one of some file names; null where none is.</summary>
    public static string? Find(params string[] fileNames)
    {
        using var process = Process.GetCurrentProcess();
        foreach (ProcessModule module in process.Modules)
        {
            using (module)
            {
                if (fileNames.Contains(Path.GetFileName(module.FileName), StringComparer.OrdinalIgnoreCase)) return module.FileName;
            }
        }
        return null;
    }
}
