using System.CommandLine;
using System.Globalization;

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

    /// <summary>An option with a whole number.</summary>
    public static Option<int?> Number(string name, string description, int least, int most = int.MaxValue) => new(name)
    {
        Description = description,
        HelpName = "N",
        CustomParser = result =>
        {
            string text = result.Tokens[^1].Value;
            if (int.TryParse(text, NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out int number)
                && number >= least && number <= most) return number;
            string range = most == int.MaxValue ? $"of at least {least}" : $"from {least} to {most}";
            result.AddError($"{name} '{text}' must be a whole number {range}.");
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
            // A comma would be taken for a separator of thousands: 0,5 is refused, and not 5.
            if (double.TryParse(text, NumberStyles.Float, CultureInfo.InvariantCulture, out double number)
                && number >= least && number <= float.MaxValue) return number;
            string comma = text.Contains(',') ? " Write a point, as in 0.5." : "";
            result.AddError($"{name} '{text}' must be a number of at least {least}.{comma}");
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

    /// <summary>Prompts that are denoised together.</summary>
    /// <param name="description">What they are.</param>
    /// <param name="otherwise">The default.</param>
    public static Option<int?> BatchSize(string description, int otherwise) =>
        Number("--batch-size", $"{description} (default: {otherwise}).", least: 1, most: 65_536);

    /// <summary>A chat template of one's own.</summary>
    public static Option<string?> ChatTemplate =>
        Text("--chat-template", "The file of a chat template in place of the checkpoint's own.", "FILE");

    public static Option<string?> Text(string name, string description, string helpName) =>
        new(name) { Description = description, HelpName = helpName };

    /// <summary>A required option with a path.</summary>
    public static Option<string> Path(string name, string description, string helpName) =>
        new(name) { Description = description, HelpName = helpName, Required = true };
}
