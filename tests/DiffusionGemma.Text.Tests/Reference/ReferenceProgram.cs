using System.Diagnostics;

namespace DiffusionGemma;

/// <summary>Programs of others that serve as judges where they are installed: node with npm's tokenizers, python3 with jinja2.</summary>
internal static class ReferenceProgram
{
    private const string TokenizersPackage = "tokenizers@0.23.2";

    // Debian's package is for the system's own Python, which need not be the first one on the path.
    private static readonly string[] Pythons = ["python3", "/usr/bin/python3"];

    private static readonly Lazy<string?> NoTokenizers = new(InstallTokenizers);

    /// <summary>Below out/, where what can be made again belongs.</summary>
    public static string Folder => Directory.CreateDirectory(Path.Combine(Fixtures.Root, "out", "reference")).FullName;

    /// <summary>Runs tests/tools/tokenizer_goldens.mjs; skips the test where it cannot be.</summary>
    public static string TokenizerGoldens(string tokenizer, int seed, int count)
    {
        Assert.SkipWhen(NoTokenizers.Value is not null, $"the official tokenizers core cannot be run ({NoTokenizers.Value})");
        string script = Path.Combine(Fixtures.Root, "tests", "tools", "tokenizer_goldens.mjs");
        (string output, string? fault) = Run("node", script, Folder, tokenizer, $"{seed}", $"{count}");
        return fault is null ? output : throw new InvalidOperationException(fault);
    }

    /// <summary>Runs goldens/make_goldens.py for generated conversations alone; skips the test where there is no jinja2.</summary>
    public static string[] JinjaGoldens(params string[] arguments)
    {
        string?[] faults = [.. Pythons.Select(python => Run(python, "-c", "import jinja2").Fault)];
        int first = Array.IndexOf(faults, null);
        Assert.SkipWhen(first < 0, $"jinja2 cannot be run ({faults[0]})");
        string file = Path.Combine(Folder, $"{Guid.NewGuid():N}.jsonl");
        try
        {
            (_, string? fault) = Run(Pythons[first], [TestFiles.Path("goldens", "make_goldens.py"), "--fuzz-only", file, .. arguments]);
            return fault is null ? File.ReadAllLines(file) : throw new InvalidOperationException(fault);
        }
        finally
        {
            File.Delete(file);
        }
    }

    private static string? InstallTokenizers() => Directory.Exists(Path.Combine(Folder, "node_modules", "tokenizers"))
        ? null
        : Run("npm", "install", "--silent", "--no-save", "--fetch-retries=1", "--fetch-timeout=60000", "--prefix", Folder,
            TokenizersPackage).Fault;

    private static (string Output, string? Fault) Run(string program, params string[] arguments)
    {
        try
        {
            using Process process =
                Process.Start(new ProcessStartInfo(program, arguments) { RedirectStandardOutput = true, RedirectStandardError = true })!;
            Task<string> error = process.StandardError.ReadToEndAsync();
            string output = process.StandardOutput.ReadToEnd();
            process.WaitForExit();
            return (output, process.ExitCode == 0 ? null : $"{program} failed: {error.Result.Trim().Split('\n')[^1]}");
        }
        catch (Exception exception) when (exception is System.ComponentModel.Win32Exception or IOException)
        {
            return ("", $"{program} is not there: {exception.Message}");
        }
    }
}
