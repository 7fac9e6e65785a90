using System.CommandLine;
using System.CommandLine.Help;
using System.CommandLine.Invocation;

namespace DiffusionGemma;

/// <summary>
/// The parser's help, which calls arguments that it does not know those of another program: here they are a recipe's keys.
/// </summary>
/// <param name="help">The parser's own.</param>
internal sealed class RecipeKeysHelp(HelpAction help) : SynchronousCommandLineAction
{
    private const string
        Usage = "[[--] <additional arguments>...]]",
        Section = "Additional Arguments:",
        Meaning = "Arguments passed to the application that is being run.";

    public override bool Terminating => true;

    public override bool ClearsParseErrors => true;

    public override int Invoke(ParseResult parseResult)
    {
        InvocationConfiguration configuration = parseResult.InvocationConfiguration;
        TextWriter output = configuration.Output;
        var text = new StringWriter();
        configuration.Output = text;
        try
        {
            return help.Invoke(parseResult);
        }
        finally
        {
            configuration.Output = output;
            output.Write(text.ToString()
                .Replace(Usage, "[--KEY VALUE ...]", StringComparison.Ordinal)
                .Replace(Section, "Keys of the recipe:", StringComparison.Ordinal)
                .Replace(Meaning, "--KEY VALUE takes the place of the file's, as in --step_scheduler.max_steps 50 --peft.dim 32.",
                    StringComparison.Ordinal));
        }
    }
}
