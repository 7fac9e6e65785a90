using System.CommandLine;

namespace DiffusionGemma;

/// <summary>Errors of a command line, with the nearest known names.</summary>
internal static class UsageErrors
{
    public const string RootName = "diffusion-gemma";

    /// <summary>One line for each error, then where the command's help is; null where there is none.</summary>
    public static string? Find(ParseResult parsed)
    {
        Command command = parsed.CommandResult.Command;
        string[] options = [.. command.Options.Concat(parsed.RootCommandResult.Command.Options).Select(option => option.Name)];
        // The parser takes an unknown option for an argument, and its value for one too many.
        string[] unknown =
        [
            .. command.Arguments.SelectMany(argument => parsed.GetResult(argument)?.Tokens ?? []).Select(token => token.Value)
                .Where(IsOption),
            .. command.TreatUnmatchedTokensAsErrors ? parsed.UnmatchedTokens.Where(IsOption) : [],
        ];
        IEnumerable<string> lines;
        if (unknown.Length > 0)
            lines = unknown.Select(name => $"There is no option {name}.{NearestName.Hint(name, options)}");
        else if (parsed.Errors.Count > 0 && parsed.UnmatchedTokens is [var extra, ..] && command.TreatUnmatchedTokensAsErrors)
            lines = [$"'{extra}' is not known here.{NearestName.Hint(extra, command.Subcommands.Select(child => child.Name))}"];
        else
            lines = parsed.Errors.Select(error => error.Message).Distinct();
        return lines.Any() ? string.Join('\n', lines.Append($"See: {Path(command)} --help")) : null;
    }

    private static bool IsOption(string token) => token.StartsWith("--", StringComparison.Ordinal) && token.Length > 2;

    private static string Path(Command command) => command is RootCommand ? RootName : $"{RootName} {command.Name}";
}
