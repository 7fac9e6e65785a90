namespace DiffusionGemma;

/// <summary>The directions in which projects and the folders of DiffusionGemma.Torch may depend on each other.</summary>
internal static class Arrows
{
    /// <summary>
    /// Folders of DiffusionGemma.Torch, lowest level first. A folder may depend on folders of its own and of all lower levels, in so far as
    /// no circle comes of it.
    /// </summary>
    private static readonly string[][] TorchLevels =
    [
        ["Interop", "Runtime", "Records"],
        ["Quantization", "Checkpoints", "Configuration"],
        ["Kernels"],
        ["Options", "Modeling", "Adapters"],
        ["Diffusion", "Model", "Optimization", "Parallel", "Grammars"],
        ["Training", "Generation", "Planning"],
        ["Runs"],
    ];

    /// <summary>The projects that each project may depend on.</summary>
    private static readonly Dictionary<string, string[]> ProjectArrows = new()
    {
        ["Text"] = [],
        ["Torch"] = [],
        ["Hub"] = [],
        ["MLNet"] = ["Torch", "Text", "Hub"],
        ["Recipes"] = ["MLNet", "Torch", "Text", "Hub"],
        ["Chat"] = ["Torch", "Text", "Hub"],
        ["Hosting"] = ["Chat", "MLNet", "Hub", "Torch", "Text"],
        ["Server"] = ["Hosting", "Chat", "MLNet", "Hub", "Torch", "Text"],
        ["Reports"] = ["Hosting", "Chat", "Recipes", "MLNet", "Hub", "Torch", "Text"],
        ["Tool"] = ["Reports", "Server", "Hosting", "Chat", "Recipes", "MLNet", "Hub", "Torch", "Text"],
    };

    /// <summary>The level of a folder of DiffusionGemma.Torch, 0 the lowest; -1 where none is assigned.</summary>
    public static int Level(string folder) => Array.FindIndex(TorchLevels, level => level.Contains(folder));

    public static bool IsAllowed(string fromProject, string toProject) =>
        ProjectArrows.TryGetValue(Short(fromProject), out string[]? allowed) && allowed.Contains(Short(toProject));

    public static bool IsAssigned(string project) => ProjectArrows.ContainsKey(Short(project));

    private static string Short(string project) => project[(project.IndexOf('.') + 1)..];
}
