using System.Globalization;

namespace DiffusionGemma;

/// <summary>
/// The part of each GPU's memory that libtorch may take, as its allocator's own setting. libtorch reads the setting once, from an
/// environment variable, as a list <c>key:value,key:value</c>.
/// </summary>
internal static class GpuMemoryLimit
{
    /// <summary>The variables that libtorch reads: the first one that is set counts.</summary>
    private static readonly string[] Variables = ["PYTORCH_ALLOC_CONF", "PYTORCH_CUDA_ALLOC_CONF"];

    private const string Key = "per_process_memory_fraction";

    /// <summary>Sets the part for a libtorch that is loaded later; other settings of the variable stay.</summary>
    /// <param name="fraction">In (0,1].</param>
    public static void Set(double fraction)
    {
        string variable = Array.Find(Variables, IsSet) ?? Variables[^1];
        IEnumerable<string> others = Settings(variable).Where(setting => KeyOf(setting) != Key);
        string own = string.Create(CultureInfo.InvariantCulture, $"{Key}:{fraction}");
        NativeEnvironment.Set(variable, string.Join(',', others.Append(own)));
    }

    /// <summary>Returns the variable and its setting, <c>VARIABLE=key:value</c>; null where there is no limit.</summary>
    public static string? Describe()
    {
        if (Array.Find(Variables, IsSet) is not { } variable) return null;
        string? own = Settings(variable).LastOrDefault(setting => KeyOf(setting) == Key);
        return own is null ? null : $"{variable}={own}";
    }

    private static bool IsSet(string variable) => Environment.GetEnvironmentVariable(variable) is { Length: > 0 };

    private static string[] Settings(string variable) => (Environment.GetEnvironmentVariable(variable) ?? "")
        .Split(',', StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries);

    private static string KeyOf(string setting) => setting.Split(':')[0].Trim();
}
