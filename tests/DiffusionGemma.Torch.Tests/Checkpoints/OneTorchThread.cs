using System.Runtime.CompilerServices;
using TorchSharp;

namespace DiffusionGemma;

internal static class OneTorchThread
{
    // Test classes run side by side: torch's own threads beneath them would only get in each other's way.
    [ModuleInitializer]
    internal static void Set() => torch.set_num_threads(1);
}
