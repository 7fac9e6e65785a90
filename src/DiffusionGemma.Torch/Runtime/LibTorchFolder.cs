using System.Runtime.InteropServices;
using System.Text.RegularExpressions;

namespace DiffusionGemma;

/// <summary>
/// A folder of libtorch's libraries, an installed PyTorch's <c>torch/lib</c> for example, and how they get into the process in place of the
/// application's own:
/// <code>
/// from the folder         libc10, libtorch_cpu, libtorch_cuda (where there is one), libtorch
/// from the application    libLibTorchSharp, TorchSharp's native library, which finds the others already loaded
/// </code>
/// </summary>
/// <param name="Folder">An absolute path.</param>
/// <param name="Version">The version that the loaded library states.</param>
/// <param name="HasCuda">True where libtorch_cuda was loaded.</param>
internal sealed partial record LibTorchFolder(string Folder, Version Version, bool HasCuda)
{
    /// <summary>The environment variable that names a folder.</summary>
    public const string Variable = "DIFFUSIONGEMMA_LIBTORCH";

    private const string Shim = "LibTorchSharp", Supported = "2.10 and 2.11";

    private static readonly Version Least = new(2, 10), Most = new(2, 11);

    /// <summary>Loads the libraries.</summary>
    /// <param name="folder">The folder that holds them, or one with a folder <c>lib</c> that does.</param>
    /// <param name="source">Where the folder was named, for messages.</param>
    /// <exception cref="InvalidOperationException">A libtorch is loaded already.</exception>
    /// <exception cref="DirectoryNotFoundException">There is no such folder.</exception>
    /// <exception cref="FileNotFoundException">A library is missing, in the folder or in the application.</exception>
    /// <exception cref="DllNotFoundException">The system cannot load a library.</exception>
    /// <exception cref="PlatformNotSupportedException">The version is none that TorchSharp's native library fits.</exception>
    public static LibTorchFolder Load(string folder, string source)
    {
        if (!OperatingSystem.IsLinux() && !OperatingSystem.IsWindows())
            throw new PlatformNotSupportedException(
                $"{source} works on Linux and Windows only. Reference TorchSharp-cpu from the application instead.");
        if (LoadedFile() is { } loaded)
            throw new InvalidOperationException(
                $"{source} comes too late: this process has loaded {loaded}. Name the folder before the first use of TorchSharp or of a "
                    + "model, a device such as torch.CPU included.");
        string root = Path.GetFullPath(folder);
        if (!Directory.Exists(root))
            throw new DirectoryNotFoundException(
                $"{source}: there is no folder {root}. Name the folder of libtorch's libraries, torch/lib of an installed PyTorch "
                    + $"{Supported} "
                    + "for example.");
        if (!Has(root, "torch_cpu") && Has(Path.Combine(root, "lib"), "torch_cpu")) root = Path.Combine(root, "lib");
        bool hasCuda = Has(root, "torch_cuda");
        string[] libraries = hasCuda ? ["c10", "torch_cpu", "torch_cuda", "torch"] : ["c10", "torch_cpu", "torch"];
        foreach (string library in libraries)
        {
            if (!Has(root, library))
                throw new FileNotFoundException(
                    $"{source}: {root} has no {FileOf(library)}. Name a folder that holds libtorch's libraries, torch/lib of an installed "
                        + $"PyTorch {Supported} for example.", Path.Combine(root, FileOf(library)));
        }
        if (StatedVersion(root) is { } stated) Check(stated, root, source);
        string shim = ApplicationFile(Shim) ?? throw new FileNotFoundException(
            $"{source}: the application has no {FileOf(Shim)}, which must come with it. Reference the package DiffusionGemma.Torch, "
                + $"and publish "
                + "the application anew.", FileOf(Shim));
        foreach (string library in new[] { "torch_cpu", "torch_cuda" }) RequireNoSecond(library, root, source);
        nint cpu = 0;
        foreach (string library in libraries)
        {
            nint handle = LoadOne(Path.Combine(root, FileOf(library)), source);
            if (library != "torch_cpu") continue;
            cpu = handle;
            Check(LibTorchVersion.Of(cpu) ?? new Version(0, 0), root, source);
        }
        BindShim(shim, root, source);
        return new LibTorchFolder(root, LibTorchVersion.Of(cpu)!, hasCuda);
    }

    /// <summary>Returns the file of libtorch, or of TorchSharp's native library, that this process has loaded; null: none.</summary>
    internal static string? LoadedFile() => LoadedLibraries.Find(FileOf("torch_cpu"), FileOf(Shim));

    /// <summary>Returns where the application keeps a native library; null where it has none.</summary>
    internal static string? ApplicationFile(string library) =>
        new[] { AppContext.BaseDirectory }
            .Concat((AppContext.GetData("NATIVE_DLL_SEARCH_DIRECTORIES") as string ?? "").Split(Path.PathSeparator))
            .Where(directory => directory.Length > 0).Select(directory => Path.Combine(directory, FileOf(library)))
            .FirstOrDefault(File.Exists);

    /// <summary>Returns a native library's file name on this system.</summary>
    public static string FileOf(string library) => OperatingSystem.IsWindows() ? $"{library}.dll" : $"lib{library}.so";

    private static bool Has(string folder, string library) => File.Exists(Path.Combine(folder, FileOf(library)));

    private static void Check(Version version, string folder, string source)
    {
        if (version >= Least && version.Major == Most.Major && version.Minor <= Most.Minor) return;
        string found = version.Major == 0 ? "older than 2.10" : $"version {version}";
        throw new PlatformNotSupportedException(
            $"{source}: the libtorch in {folder} is {found}, and TorchSharp 0.107.0 works with {Supported} alone. Install one of these "
                + $"(pip install torch==2.11.*) and name its folder torch/lib, or leave {Variable} unset.");
    }

    /// <summary>
    /// Reads the version from the file that PyTorch (version.py) or a libtorch archive (build-version) keeps beside the folder: a library
    /// of another version need not be loaded, which cannot be undone.
    /// </summary>
    private static Version? StatedVersion(string folder)
    {
        string beside = Path.GetDirectoryName(folder) ?? folder;
        foreach ((string name, Regex pattern) in new[] { ("version.py", PythonVersion()), ("build-version", ArchiveVersion()) })
        {
            string path = Path.Combine(beside, name);
            if (File.Exists(path) && pattern.Match(File.ReadAllText(path)) is { Success: true } match)
                return Version.Parse(match.Groups[1].Value);
        }
        return null;
    }

    private static nint LoadOne(string path, string source)
    {
        try
        {
            return NativeLibrary.Load(path);
        }
        catch (Exception e) when (e is DllNotFoundException or BadImageFormatException)
        {
            throw new DllNotFoundException(
                $"{source}: {path} cannot be loaded ({FirstLine(e.Message)}). The libraries that it needs itself, CUDA's among them, "
                    + $"must be "
                    + "where PyTorch's installation put them, or in a folder of LD_LIBRARY_PATH (Windows: PATH).", e);
        }
    }

    /// <summary>
    /// Binds all symbols of TorchSharp's native library at once: left to their first use, one that is missing would end the process.
    /// (Windows always does so.)
    /// </summary>
    private static void BindShim(string shim, string folder, string source)
    {
        if (OperatingSystem.IsLinux() && DynamicLinker.BindNow(shim) is { } fault)
            throw new PlatformNotSupportedException(
                $"{source}: TorchSharp's native library does not fit the libtorch in {folder} ({FirstLine(fault)}). TorchSharp "
                    + $"0.107.0 works "
                    + $"with {Supported}.");
        if (OperatingSystem.IsWindows()) LoadOne(shim, source);
    }

    /// <summary>
    /// TorchSharp loads these by name as soon as it is touched, and the system finds the application's first: two copies in one process
    /// would corrupt each other.
    /// </summary>
    private static void RequireNoSecond(string library, string folder, string source)
    {
        if (ApplicationFile(library) is not { } own || RealPath(own) == RealPath(Path.Combine(folder, FileOf(library)))) return;
        throw new PlatformNotSupportedException(
            $"{source}: the application brings a libtorch of its own, {own}, and TorchSharp would load both. Publish it without the "
                + $"package "
                + $"TorchSharp-cpu, TorchSharp-cuda-linux or TorchSharp-cuda-windows, or leave {Variable} unset.");
    }

    private static string RealPath(string path) =>
        (File.Exists(path) ? File.ResolveLinkTarget(path, returnFinalTarget: true)?.FullName : null) ?? Path.GetFullPath(path);

    private static string FirstLine(string text) => text.Trim().Split('\n')[0].Trim();

    [GeneratedRegex(@"^__version__\s*=\s*'(\d+\.\d+(\.\d+)?)", RegexOptions.Multiline)]
    private static partial Regex PythonVersion();

    [GeneratedRegex(@"^(\d+\.\d+(\.\d+)?)")]
    private static partial Regex ArchiveVersion();
}
