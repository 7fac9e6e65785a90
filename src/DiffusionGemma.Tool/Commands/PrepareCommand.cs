using System.CommandLine;
using Microsoft.ML;

namespace DiffusionGemma;

/// <summary>Writes a known data set as the conversations that recipes read.</summary>
internal static class PrepareCommand
{
    private const string Known = "gsm8k", TrainSplit = "train", TestSplit = "test";

    public static Command Create(CommandContext context)
    {
        var name = new Argument<string>("DATASET") { Description = $"The data set: {Known}." };
        Option<string> split = CommonOptions.Choice("--split", "The part of it.", TrainSplit, TestSplit);
        Option<string?> output = CommonOptions.Text(
            "--output", $"The file that is written (default: {Gsm8k.TrainFileName} for train).", "FILE");
        var source = new Option<string[]>("--source")
        {
            Description = "Files with columns question and answer in place of those on the Hub.", HelpName = "FILE",
            AllowMultipleArgumentsPerToken = true,
        };
        var command = new Command("prepare", "Writes a known data set as conversations, in the form that the recipes read.")
        {
            name, split, output, source,
        };
        command.SetAction((parsed, _) => Task.FromResult(Run(
            context, parsed.GetValue(name)!, parsed.GetValue(split)!, parsed.GetValue(output), parsed.GetValue(source) ?? [])));
        return command;
    }

    private static int Run(CommandContext context, string name, string split, string? output, string[] from)
    {
        if (name != Known)
            throw new ToolException(ExitCode.Usage, $"There is no data set '{name}'; known: {Known}.{NearestName.Hint(name, [Known])}");
        output ??= split == TrainSplit ? Gsm8k.TrainFileName : Gsm8k.TrainFileName.Replace(TrainSplit, TestSplit, StringComparison.Ordinal);
        foreach (string file in from) DataFiles.Resolve(file);
        if (output.Length == 0) throw new ToolException(ExitCode.Usage, "--output is empty: name a file.");
        if (Directory.Exists(output)) throw new ToolException(ExitCode.Usage, $"--output {output} is a folder: name a file.");
        if (File.Exists(output)) throw new ToolException(
            ExitCode.Usage, $"{output} is there already: name another file with --output, or take it away.");
        context.Interruption.AtOnce = Interruption.Stopped;
        MLContext ml = LogLines.CreateContext(context.Output);
        string[] sources = from.Length > 0 ? from : [split == TrainSplit ? Gsm8k.TrainFiles : Gsm8k.TestFiles];
        int rows = Stage.Data(() => Gsm8k.WriteConversations(ml, output, sources));
        context.Output.Result(ToolOutput.Text($"{output}: {Counted.Rows(rows)}"), new { Event = "prepared", Output = output, Rows = rows });
        return ExitCode.Success;
    }
}
