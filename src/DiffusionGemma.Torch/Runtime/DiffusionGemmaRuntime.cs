using System.Diagnostics;
using System.Reflection;
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

    private static readonly Lock Gate = new();
    private static bool _cpuReady;

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

    private const string CudaAdvice = "Reference TorchSharp-cuda-linux or TorchSharp-cuda-windows (0.107.0) in place of TorchSharp-cpu.";

    /// <summary>Describes what was found and what is missing: versions, TorchSharp's patch, backend, devices, threads.</summary>
    public static string Describe()
    {
        var text = new StringBuilder();
        text.AppendLine(
            $"DiffusionGemma {Version(typeof(DiffusionGemmaRuntime).Assembly)} on .NET {Environment.Version}, "
                + $"{RuntimeInformation.RuntimeIdentifier}, {Environment.ProcessorCount} cores");
        text.AppendLine($"TorchSharp {Version(typeof(torch).Assembly)}: {(IsMended ? "mended" : $"NOT mended, unusable. {Mend}")}");
        Exception? failure = LoadFailure();
        if (failure is not null)
        {
            text.AppendLine($"Backend: not loaded. {LoadAdvice(failure)}");
            return text.ToString();
        }
        text.AppendLine($"Backend: libtorch {__version__}, {get_num_threads()} threads an operator");
        if (CudaReady(out string reason)) text.AppendLine($"Devices: CPU, {cuda.device_count()} x CUDA");
        else text.AppendLine($"Devices: CPU. CUDA: {reason}");
        return text.ToString();
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
                if (!IsMended)
                    throw new PlatformNotSupportedException(
                        "The TorchSharp that was loaded is as released: a garbage collection may free tensors in use and corrupt "
                            + $"memory. {Mend}");
                if (LoadFailure() is { } failure) throw new DllNotFoundException(LoadAdvice(failure), failure);
                _cpuReady = true;
            }
        }
        if (device is null || device.type != DeviceType.CUDA) return;
        if (!CudaReady(out string reason)) throw new PlatformNotSupportedException($"Device {device} is not there: {reason}");
        if (device.index >= cuda.device_count())
            throw new PlatformNotSupportedException($"Device {device} is not there: this machine has {cuda.device_count()} CUDA devices.");
    }

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
        + "TorchSharp-cuda-linux / TorchSharp-cuda-windows. On Linux the library also fails to load where it was not mended and "
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
