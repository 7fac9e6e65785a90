using System.CommandLine;
using TorchSharp;

namespace DiffusionGemma;

/// <summary>Options that several commands have.</summary>
internal static class CommonOptions
{
    public const string JsonName = "--json";

    /// <summary>Results as JSON, for all commands.</summary>
    public static Option<bool> Json => new(JsonName)
    {
        Description = "Results as JSON, one object a line on standard output; words go to standard error.", Recursive = true,
    };

    /// <summary>A device by its name.</summary>
    public static Option<torch.Device?> Device => new("--device")
    {
        Description = "cpu, cuda, or cuda:N. By default the first CUDA device, or the CPU where there is none.",
        HelpName = "DEVICE",
        CustomParser = result =>
        {
            string name = result.Tokens[^1].Value;
            if (name == "cpu") return torch.CPU;
            if (name == "cuda") return torch.CUDA;
            if (name.StartsWith("cuda:", StringComparison.Ordinal) && int.TryParse(name[5..], out int index) && index >= 0)
                return new torch.Device(DeviceType.CUDA, index);
            result.AddError($"--device '{name}' is not a device: name cpu, cuda, or cuda:N.");
            return null;
        },
    };

    /// <summary>An option with a whole number.</summary>
    public static Option<int?> Number(string name, string description, int least) => new(name)
    {
        Description = description,
        HelpName = "N",
        CustomParser = result =>
        {
            string text = result.Tokens[^1].Value;
            if (int.TryParse(text, System.Globalization.CultureInfo.InvariantCulture, out int number) && number >= least) return number;
            result.AddError($"{name} '{text}' must be a whole number of at least {least}.");
            return null;
        },
    };

    /// <summary>An option with a real number.</summary>
    public static Option<double?> Real(string name, string description, double least) => new(name)
    {
        Description = description,
        HelpName = "X",
        CustomParser = result =>
        {
            string text = result.Tokens[^1].Value;
            if (double.TryParse(text, System.Globalization.CultureInfo.InvariantCulture, out double number)
                && double.IsFinite(number) && number >= least) return number;
            result.AddError($"{name} '{text}' must be a number of at least {least}.");
            return null;
        },
    };

    /// <summary>An option with one of several names.</summary>
    public static Option<string> Choice(string name, string description, params string[] choices) => new(name)
    {
        Description = $"{description} One of {string.Join(", ", choices)}.",
        HelpName = string.Join('|', choices),
        DefaultValueFactory = _ => choices[0],
        CustomParser = result =>
        {
            string text = result.Tokens[^1].Value;
            if (choices.Contains(text)) return text;
            result.AddError($"{name} '{text}' must be one of {string.Join(", ", choices)}.{NearestName.Hint(text, choices)}");
            return null;
        },
    };

    public static Option<string?> Text(string name, string description, string helpName) =>
        new(name) { Description = description, HelpName = helpName };

    /// <summary>A required option with a path.</summary>
    public static Option<string> Path(string name, string description, string helpName) =>
        new(name) { Description = description, HelpName = helpName, Required = true };
}
