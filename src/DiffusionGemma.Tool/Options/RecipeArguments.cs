using System.CommandLine;
using TorchSharp;

namespace DiffusionGemma;

/// <summary>A recipe and the keys that a command line changes in it.</summary>
internal static class RecipeArguments
{
    public static Argument<string> Recipe => new("RECIPE") { Description = "The recipe's file (.yaml)." };

    /// <summary>Reads a recipe.</summary>
    /// <param name="path">The file.</param>
    /// <param name="overrides">What follows it on the command line.</param>
    /// <param name="device">Null: all CUDA devices of the machine, or the CPU.</param>
    /// <exception cref="ToolException">There is no such file.</exception>
    /// <exception cref="RecipeException">The recipe has faults.</exception>
    public static FineTuneRecipe Load(string path, IReadOnlyList<string> overrides, torch.Device? device)
    {
        if (Directory.Exists(path)) throw new ToolException(ExitCode.Usage, $"{path} is a folder: name a recipe's file in it.");
        if (!File.Exists(path)) throw new ToolException(ExitCode.Usage,
            $"There is no recipe {path}: its file comes before the keys that are changed.{DataFiles.Nearest(path)}");
        return FineTuneRecipe.Load(path, overrides, device is null ? null : [device]);
    }
}
