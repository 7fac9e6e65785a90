using System.Diagnostics;
using System.Reflection;
using System.Runtime.ExceptionServices;
using System.Runtime.InteropServices;
using System.Text;
using TorchSharp;
using static TorchSharp.torch;

namespace DiffusionGemma;

/// <summary>The libtorch that this process computes with, its devices, and checks that it is safe to use.</summary>
public static class DiffusionGemmaRuntime
{
    private const string Mend =
        "The build mends TorchSharp through the targets that come with the DiffusionGemma.Torch package: reference the package from the "
        + "application (not a copied assembly), leave the property MendTorchSharp unset, and build or publish anew.";

    // Static because a process has one libtorch, loaded once; all of them are written under the lock.
    private static readonly Lock Gate = new();
    private static bool _cpuReady;
    private static LibTorchFolder? _folder;
    private static ExceptionDispatchInfo? _folderFault;

    /// <summary>
    /// The device that a run takes where none is named: the first CUDA device, or the CPU where the machine has no NVIDIA GPU.
    /// </summary>
    /// <exception cref="PlatformNotSupportedException">There is a GPU, but the loaded backend cannot use it: nothing falls back to the CPU
    /// in silence.</exception>
    public static Device DefaultDevice
    {
        get
        {
            EnsureUsable();
            if (CudaReady(out _)) return CUDA;
            if (!HasNvidiaGpu()) return CPU;
            throw new PlatformNotSupportedException(
                $"This machine has an NVIDIA GPU, but the loaded backend computes on the CPU only. {CudaAdvice} To compute on the CPU "
                    + "all the same, name it: torch.CPU as the device, or FineTuneOptions.Devices = [torch.CPU].");
        }
    }

    /// <summary>The compute dtype where none is named: bfloat16 on CUDA, float32 elsewhere.</summary>
    public static ScalarType DefaultPrecision(Device device) => device.type == DeviceType.CUDA ? ScalarType.BFloat16 : ScalarType.Float32;

    private const string CudaAdvice =
        "Reference TorchSharp-cuda-linux or TorchSharp-cuda-windows (0.107.0) in place of TorchSharp-cpu, or name the folder "
            + "torch/lib of an "
        + $"installed PyTorch 2.10 or 2.11 by {LibTorchFolder.Variable}.";

    /// <summary>
    /// Takes libtorch from a folder, an installed PyTorch's <c>torch/lib</c> for example, in place of a package of the application; the
    /// environment variable <c>DIFFUSIONGEMMA_LIBTORCH</c> does the same. Call it before anything else of this library or of TorchSharp,
    /// a device such as <c>torch.CPU</c> included. The libraries are loaded at once, and a self-test computes small cases with them.
    /// <code>
    /// DiffusionGemmaRuntime.UseLibTorch("/opt/venv/lib/python3.12/site-packages/torch/lib");
    /// Console.WriteLine(DiffusionGemmaRuntime.Describe());
    /// </code>
    /// </summary>
    /// <param name="folder">The folder of libc10, libtorch_cpu, libtorch and, for GPUs, libtorch_cuda: version 2.10 or 2.11. It wins over
    /// the environment variable.</param>
    /// <exception cref="InvalidOperationException">Another libtorch is loaded already: the call comes too late.</exception>
    /// <exception cref="DirectoryNotFoundException">There is no such folder.</exception>
    /// <exception cref="FileNotFoundException">The folder lacks a library, or the application lacks TorchSharp's own.</exception>
    /// <exception cref="DllNotFoundException">The system cannot load a library of the folder.</exception>
    /// <exception cref="PlatformNotSupportedException">The libraries are of another version, or fail the self-test; or the system is
    /// neither
    /// Linux nor Windows. The process can then use no libtorch at all.</exception>
    public static void UseLibTorch(string folder)
    {
        ArgumentException.ThrowIfNullOrWhiteSpace(folder);
        lock (Gate)
        {
            if (_folder is not null && _cpuReady && Names(_folder, folder)) return;
            RequireMended();
            LoadFolder(folder, $"UseLibTorch(\"{folder}\")");
        }
    }

    /// <summary>
    /// Limits the memory that libtorch takes of each GPU: an operation that needs more throws, and the process goes on, as when the GPU's
    /// memory is used up. Call it before anything else of this library or of TorchSharp, a device such as <c>torch.CPU</c> included.
    /// <code>
    /// DiffusionGemmaRuntime.LimitGpuMemory(0.5);                              // 40 of 80 GB
    /// </code>
    /// </summary>
    /// <remarks>
    /// The setting <c>per_process_memory_fraction</c> of libtorch's allocator, which the environment variable
    /// <c>PYTORCH_CUDA_ALLOC_CONF</c> takes too. Weights, activations and blocks that the allocator keeps count; CUDA's context and the
    /// workspaces of its libraries, about a gigabyte, do not. It is the process's: all models and runs share it.
    /// </remarks>
    /// <param name="fraction">The part of each GPU's memory, above 0 and at most 1.</param>
    /// <exception cref="ArgumentOutOfRangeException">The part is not above 0 and at most 1.</exception>
    /// <exception cref="InvalidOperationException">libtorch is loaded already: the call comes too late.</exception>
    public static void LimitGpuMemory(double fraction)
    {
        if (!(fraction is > 0 and <= 1))
            throw new ArgumentOutOfRangeException(nameof(fraction), fraction, "The part of a GPU's memory is above 0 and at most 1.");
        lock (Gate)
        {
            if (LibTorchFolder.LoadedFile() is { } loaded)
                throw new InvalidOperationException(
                    $"LimitGpuMemory({fraction}) comes too late: this process has loaded {loaded}. Call it before the first use of "
                        + "TorchSharp or of a model, a device such as torch.CPU included.");
            GpuMemoryLimit.Set(fraction);
        }
    }

    /// <summary>
    /// Describes what was found and what is missing: versions, TorchSharp's patch, the backend and where it comes from, devices and their
    /// memory, NCCL, threads.
    /// </summary>
    public static string Describe()
    {
        var text = new StringBuilder();
        text.AppendLine(
            $"DiffusionGemma {Version(typeof(DiffusionGemmaRuntime).Assembly)} on .NET {Environment.Version}, "
                + $"{RuntimeInformation.RuntimeIdentifier}, {Environment.ProcessorCount} cores");
        text.AppendLine($"TorchSharp {Version(typeof(torch).Assembly)}: {(IsMended ? "mended" : $"NOT mended, unusable. {Mend}")}");
        try
        {
            EnsureUsable();
        }
        catch (Exception e) when (IsLoadFault(e))
        {
            text.AppendLine($"Backend: not loaded. {e.Message}");
            return text.ToString();
        }
        text.AppendLine(
            $"Backend: libtorch {LibTorchVersion.OfProcess()?.ToString() ?? __version__}, "
                + $"{(_folder is null ? "of the application" : $"from {_folder.Folder}, self-test passed")}, "
                + $"{get_num_threads()} threads an operator");
        if (CudaReady(out string reason)) text.AppendLine($"Devices: CPU, {cuda.device_count()} x CUDA");
        else text.AppendLine($"Devices: CPU. CUDA: {reason}");
        IReadOnlyList<string> gpus = CudaDriver.Describe(out Version? driver);
        if (driver is not null) text.AppendLine($"Driver: CUDA {driver}");
        for (int i = 0; i < gpus.Count; i++) text.AppendLine($"GPU {i}: {gpus[i]}{MemoryInUse(i)}");
        if (GpuMemoryLimit.Describe() is { } limit) text.AppendLine($"GPU memory of this process: limited by {limit}");
        if (gpus.Count == 0) return text.ToString();
        Version? nccl = GpuLibraries.NcclVersion(out string missing);
        text.AppendLine($"NCCL: {(nccl is null ? $"none, so that a run takes one GPU. {missing}" : nccl)}");
        return text.ToString();
    }

    private static string MemoryInUse(int gpu)
    {
        if (!CudaReady(out _) || gpu >= cuda.device_count()) return ", not usable with this backend";
        try
        {
            return FormattableString.Invariant($", {CudaMemory.Read(gpu).Used / (double)(1L << 30):0.0} GiB of it in use");
        }
        catch (Exception e) when (e is DllNotFoundException or EntryPointNotFoundException or ExternalException)
        {
            return $" ({e.Message})";
        }
    }

    /// <summary>Finds out whether a device can be computed on.</summary>
    /// <param name="device">The CPU, or a CUDA device.</param>
    /// <param name="reason">A sentence on what is missing; empty where nothing is.</param>
    public static bool IsAvailable(Device device, out string reason)
    {
        ArgumentNullException.ThrowIfNull(device);
        reason = "";
        if (device.type == DeviceType.CPU) return true;
        if (device.type != DeviceType.CUDA) reason = "only CPU and CUDA devices are computed on.";
        else if (!CudaReady(out string missing)) reason = missing;
        else if (device.index >= cuda.device_count()) reason = $"this machine has {cuda.device_count()} CUDA devices.";
        return reason.Length == 0;
    }

    /// <summary>
    /// Throws, with what to do, where TorchSharp is unmended, its native library does not load, or a device is not there.
    /// </summary>
    /// <param name="device">Null: the CPU. (Even to name torch.CPU loads the native library.)</param>
    internal static void EnsureUsable(Device? device = null)
    {
        lock (Gate)
        {
            if (!_cpuReady)
            {
                RequireMended();
                RequireWorkingDirectory();
                _folderFault?.Throw();
                if (_folder is null && Environment.GetEnvironmentVariable(LibTorchFolder.Variable) is { Length: > 0 } folder)
                    LoadFolder(folder, $"{LibTorchFolder.Variable}={folder}");
                if (LoadFailure() is { } failure) throw new DllNotFoundException(LoadAdvice(failure), failure);
                _cpuReady = true;
            }
        }
        if (device is null || device.type != DeviceType.CUDA) return;
        if (!CudaReady(out string reason)) throw new PlatformNotSupportedException($"Device {device} is not there: {reason}");
        if (device.index >= cuda.device_count())
            throw new PlatformNotSupportedException($"Device {device} is not there: this machine has {cuda.device_count()} CUDA devices.");
    }

    private static void RequireMended()
    {
        if (!IsMended)
            throw new PlatformNotSupportedException(
                "The TorchSharp that was loaded is as released: a garbage collection may free tensors in use and corrupt "
                    + $"memory. {Mend}");
    }

    /// <summary>libtorch's oneMKL ends a process that has none.</summary>
    private static void RequireWorkingDirectory()
    {
        try
        {
            _ = Directory.GetCurrentDirectory();
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new DirectoryNotFoundException(
                $"The process's working directory is gone ({e.Message.TrimEnd('.')}), and libtorch does not run without one: change to a "
                + "folder that exists.", e);
        }
    }

    /// <summary>
    /// Loads libtorch from a folder and tests it. Libraries once loaded stay: after a fault no further libtorch is tried, and each later
    /// call throws the same.
    /// </summary>
    private static void LoadFolder(string folder, string source)
    {
        _folderFault?.Throw();
        string core = LibTorchFolder.FileOf("c10");
        bool wasLoaded = LoadedLibraries.Find(core) is not null;
        try
        {
            _folder = LibTorchFolder.Load(folder, source);
            BackendSelfTest.Run(CPU);
            if (_folder.HasCuda && CudaReady(out _)) BackendSelfTest.Run(CUDA);
            _cpuReady = true;
        }
        catch (Exception e) when (IsLoadFault(e))
        {
            if (!wasLoaded && LoadedLibraries.Find(core) is not null) _folderFault = ExceptionDispatchInfo.Capture(e);
            throw;
        }
    }

    private static bool Names(LibTorchFolder loaded, string folder) =>
        Path.GetFullPath(folder) is var path && (path == loaded.Folder || Path.Combine(path, "lib") == loaded.Folder);

    private static bool IsLoadFault(Exception e) =>
        e is NotSupportedException or DllNotFoundException or InvalidOperationException or DirectoryNotFoundException
            or FileNotFoundException or TypeInitializationException;

    /// <summary>The build's mend of the assembly: its JIT optimisations are off, so arguments outlive native calls.</summary>
    internal static bool IsMended => typeof(torch).Assembly.GetCustomAttribute<DebuggableAttribute>() is { IsJITOptimizerDisabled: true };

    private static Exception? LoadFailure()
    {
        try
        {
            InitializeDeviceType(DeviceType.CPU);
            return null;
        }
        catch (Exception e) when (
            e is NotSupportedException or DllNotFoundException or TypeInitializationException or BadImageFormatException)
        {
            return e;
        }
    }

    private static string LoadAdvice(Exception failure) =>
        $"TorchSharp's native library cannot be loaded ({failure.GetBaseException().Message.Trim().Split('\n')[0].Trim()}) Reference a "
            + "backend package from the application: TorchSharp-cpu 0.107.0, or "
        + $"TorchSharp-cuda-linux / TorchSharp-cuda-windows; or name a folder of libtorch by {LibTorchFolder.Variable}. On Linux the "
        + $"library also fails to load where it was not mended and "
        + "libstdc++ is older than GCC 13's. " + Mend;

    private static bool CudaReady(out string reason)
    {
        reason = "";
        try
        {
            if (TryInitializeDeviceType(DeviceType.CUDA) && cuda.is_available()) return true;
        }
        catch (Exception e) when (e is NotSupportedException or DllNotFoundException or ExternalException)
        {
            reason = e.Message.Trim() + " ";
        }
        reason += HasNvidiaGpu() ? $"there is an NVIDIA GPU, but this backend cannot use it. {CudaAdvice}"
            : "no NVIDIA GPU or driver was found.";
        return false;
    }

    private static bool HasNvidiaGpu() =>
        File.Exists("/dev/nvidia0") || OperatingSystem.IsWindows() && File.Exists(Path.Combine(Environment.SystemDirectory, "nvcuda.dll"));

    private static string Version(Assembly assembly) =>
        assembly.GetCustomAttribute<AssemblyInformationalVersionAttribute>()?.InformationalVersion.Split('+')[0]
            ?? assembly.GetName().Version?.ToString() ?? "?";
}
