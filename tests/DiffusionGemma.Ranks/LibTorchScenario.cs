using System.Diagnostics;
using System.Runtime.InteropServices;
using static TorchSharp.torch;

namespace DiffusionGemma;

/// <summary>Processes that take libtorch from a folder: nothing of TorchSharp is touched before.</summary>
internal static partial class LibTorchScenario
{
    private static readonly string[] Names = ["libc10.so", "libtorch_cpu.so", "libtorch.so", "libLibTorchSharp.so"];

    /// <summary>Runs a scenario; the arguments are its name, a checkpoint to answer with, and folders of libtorch.</summary>
    public static void Run(string[] arguments)
    {
        string checkpoint = arguments[1];
        switch (arguments[0])
        {
            case "describe":
                Console.WriteLine(DiffusionGemmaRuntime.Describe());
                break;
            case "use":
                foreach (string folder in arguments[2..]) Try(() => DiffusionGemmaRuntime.UseLibTorch(folder));
                Compute(checkpoint);
                Console.WriteLine(DiffusionGemmaRuntime.Describe());
                break;
            case "limit":
                Try(() => DiffusionGemmaRuntime.LimitGpuMemory(0.25));
                Console.WriteLine($"libraries see {Marshal.PtrToStringUTF8(getenv(arguments[2]))}");
                Compute(checkpoint);
                Console.WriteLine(DiffusionGemmaRuntime.Describe());
                Try(() => DiffusionGemmaRuntime.LimitGpuMemory(0.5));
                break;
            case "late":
                Console.WriteLine(CPU);
                Try(() => DiffusionGemmaRuntime.UseLibTorch(arguments[2]));
                Compute(checkpoint);
                break;
            default:
                throw new ArgumentException($"There is no scenario {arguments[0]}.");
        }
        using var process = Process.GetCurrentProcess();
        foreach (ProcessModule module in process.Modules)
            if (Names.Contains(Path.GetFileName(module.FileName))) Console.WriteLine($"loaded {module.FileName}");
    }

    private static void Compute(string checkpoint) => Try(() =>
    {
        using DiffusionGemmaModel model = DiffusionGemmaModel.Load(checkpoint);
        var options = new GenerationOptions { MaxNewTokens = 4, Seed = 1 };
        Console.WriteLine($"answer {string.Join(' ', CanvasGenerator.Generate(model, [[2, 30, 31]], options)[0].Ids)}");
    });

    [LibraryImport("libc", StringMarshalling = StringMarshalling.Utf8)]
    private static partial nint getenv(string name);

    private static void Try(Action action)
    {
        try
        {
            action();
            Console.WriteLine("done");
        }
        catch (Exception e)
        {
            Console.WriteLine($"{e.GetType().Name}: {e.Message}");
        }
    }
}
