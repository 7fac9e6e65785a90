using System.CommandLine;
using System.Security.Cryptography;
using System.Text;
using Microsoft.ML;
using TorchSharp;

namespace DiffusionGemma;

/// <summary>Answers every row of a file into another one; stopped or killed at any moment and started again, it goes on.</summary>
internal static class AnswerCommand
{
    private const int DefaultBatch = 8;

    public static Command Create(CommandContext context)
    {
        var name = new Argument<string>("MODEL") { Description = ModelReference.Help };
        Option<string> input = CommonOptions.Path("--input", "Rows to answer: .parquet or .jsonl, or hf://datasets/...", "FILE");
        Option<string> output = CommonOptions.Path("--output", "The answers: .parquet or .jsonl.", "FILE");
        Option<int?> batch = CommonOptions.BatchSize("Prompts denoised together", DefaultBatch);
        var restart = new Option<bool>("--restart") { Description = "Throw away what a run that was stopped has answered." };
        var command = new Command("answer", "Answers every row of a file into another; started again, it goes on where it was stopped.")
        {
            name, input, output, batch, restart,
        };
        Option<string?> template = CommonOptions.ChatTemplate;
        command.Add(template);
        var quantization = new QuantizationOption(command);
        var device = new DeviceOption(command);
        var generation = new GenerationArguments(command);
        var columns = new RowOptions(command, withAnswers: false);
        command.SetAction(async (parsed, _) =>
        {
            ChatDataOptions rows = columns.Read(parsed);
            rows.MaxErrors = int.MaxValue;                          // a row that is no conversation is one of the output, with its reason
            var settings = new AnswerSettings(parsed.GetValue(input)!, parsed.GetValue(output)!, rows, generation.Read(parsed),
                parsed.GetValue(batch) ?? DefaultBatch, parsed.GetValue(restart),
                parsed.GetValue(template), quantization.Read(parsed));
            return await RunAsync(context, settings, parsed.GetValue(name)!, device.Read(parsed));
        });
        return command;
    }

    private static async Task<int> RunAsync(CommandContext context, AnswerSettings settings, string name, torch.Device? device)
    {
        RequireKnownKind(settings.Output);
        // Only the output of a run that was killed before it removed its journal is replaced; --restart throws away no more than that.
        if (File.Exists(settings.Output) && (!File.Exists(settings.JournalPath) || IsInput(settings))) throw new ToolException(
            ExitCode.Usage, $"--output {settings.Output} is there already: name another file, or take it away.");
        string[] files = HubPath.IsHubPath(settings.Input) ? [.. await Downloads.FilesAsync(settings.Input, context)] : [settings.Input];
        foreach (string file in files) DataFiles.RequireFile(file, ExitCode.Data);
        MLContext ml = LogLines.CreateContext(context.Output);
        IDataView rows = Stage.Data(() => RowOptions.Load(ml, files, settings.Rows, withAnswers: false));
        long total = Count(rows);                                   // a damaged file shows before weights are read
        using ToolModel model = await ToolModel.LoadAsync(ml, name, device, context, settings.ChatTemplate, settings.Quantization);
        context.Interruption.Message = "Stopping; the answers so far are kept. Ctrl+C again ends at once.";
        try
        {
            long failed = await new AnswerRun(context, ml, model, settings).RunAsync(rows, total, Hash(files));
            context.Output.Result(
                ToolOutput.Text($"{settings.Output}: {Counted.Rows(total)}{(failed > 0 ? $", {failed} of them with an error" : "")}"),
                new { Event = "written", settings.Output, Rows = total, Failed = failed });
            // A file in which no row could be answered is a fault of the data, and a script should see it.
            return total > 0 && failed == total ? ExitCode.Data : ExitCode.Success;
        }
        catch (OperationCanceledException)
        {
            throw new ToolException(ExitCode.Cancelled, "Stopped. The same command goes on from there.");
        }
    }

    private static bool IsInput(AnswerSettings settings) => !HubPath.IsHubPath(settings.Input)
        && string.Equals(Path.GetFullPath(settings.Input), Path.GetFullPath(settings.Output), StringComparison.Ordinal);

    private static void RequireKnownKind(string path)
    {
        if (DataFiles.IsParquet(path) || path.EndsWith(".jsonl", StringComparison.OrdinalIgnoreCase)) return;
        throw new ToolException(ExitCode.Usage, $"--output {path}: answers are written as .parquet or .jsonl; name the file so.");
    }

    private static long Count(IDataView rows)
    {
        long count = 0;
        using (DataViewRowCursor cursor = rows.GetRowCursor(rows.Schema))
            while (cursor.MoveNext()) count++;
        return count + rows.GetSkippedChatRows().Count;
    }

    private static string Hash(IEnumerable<string> files)
    {
        string[] hashes = [.. files.Select(ToolModel.Hash)];
        return hashes.Length == 1 ? hashes[0] : Convert.ToHexString(SHA256.HashData(Encoding.ASCII.GetBytes(string.Concat(hashes))));
    }
}
