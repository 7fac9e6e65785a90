using System.CommandLine;
using System.CommandLine.Help;
using System.CommandLine.Invocation;

namespace DiffusionGemma;

/// <summary>All commands.</summary>
internal static class RootCommandFactory
{
    private const string Description = """
        Fine-tunes and runs DiffusionGemma, a block-diffusion language model.

        Exit codes: 0, 1 other failures, 2 usage, 3 data, 4 checkpoint, 5 device or memory, 130 cancelled
        (143 by SIGTERM, 129 by SIGHUP).
        """;

    public static RootCommand Create(CommandContext context)
    {
        var root = new RootCommand(Description) { HelpName = UsageErrors.RootName };
        root.Options.Add(CommonOptions.Json);
        HelpOption help = root.Options.OfType<HelpOption>().Single();
        help.Action = new RecipeKeysHelp((HelpAction)help.Action!);
        root.Options.OfType<VersionOption>().Single().Action = new DescribeAction(context.Output);
        root.Add(PrepareCommand.Create(context));
        root.Add(DownloadCommand.Create(context));
        root.Add(InspectCommand.Create(context));
        root.Add(PlanCommand.Create(context));
        root.Add(TrainCommand.Create(context));
        root.Add(EvaluateCommand.Create(context));
        root.Add(AnswerCommand.Create(context));
        root.Add(ChatCommand.Create(context));
        root.Add(ServeCommand.Create(context));
        root.Add(QuantizeCommand.Create(context));
        root.Add(VerifyCommand.Create(context));
        root.Add(MergeCommand.Create(context));
        root.Add(ExportCommand.Create(context));
        return root;
    }

    /// <summary>Prints versions, backend and devices.</summary>
    private sealed class DescribeAction(ToolOutput output) : SynchronousCommandLineAction
    {
        public override bool Terminating => true;

        public override int Invoke(ParseResult parseResult)
        {
            string text = DiffusionGemmaRuntime.Describe().TrimEnd();
            output.Result(text, new { Event = "version", Description = text });
            return ExitCode.Success;
        }
    }
}
