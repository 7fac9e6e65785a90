using System.CommandLine;
using System.Diagnostics;
using Microsoft.ML;

namespace DiffusionGemma;

/// <summary>Trains a recipe, with curves; goes on with a run that was stopped.</summary>
internal static class TrainCommand
{
    private const string ReportFolder = "report";
    private const int Answers = 4;

    public static Command Create(CommandContext context)
    {
        Argument<string> path = RecipeArguments.Recipe;
        Option<string?> report = CommonOptions.Text(
            "--report", $"Folder for curves, tables and TensorBoard events (default: {ReportFolder} in the recipe's folder).", "FOLDER");
        var silent = new Option<bool>("--no-report") { Description = "Write no curves, tables and events." };
        Option<int?> answers = CommonOptions.Number(
            "--answers", $"Rows of the validation_dataset that are answered at each evaluation (default: {Answers}; 0: none).", 0);
        var command = new Command(
            "train", "Trains a recipe, and goes on with a run that was stopped. Keys of the recipe may follow, as in --optimizer.lr 1e-5.")
        {
            path, report, silent, answers,
        };
        var device = new DeviceOption(command);
        command.TreatUnmatchedTokensAsErrors = false;
        command.SetAction((parsed, cancellation) =>
        {
            FineTuneRecipe recipe = RecipeArguments.Load(parsed.GetValue(path)!, parsed.UnmatchedTokens, device.Read(parsed));
            if (parsed.GetValue(silent) && parsed.GetValue(report) is not null)
                throw new ToolException(ExitCode.Usage, "--report and --no-report exclude each other: name one.");
            string? folder = parsed.GetValue(silent) ? null : parsed.GetValue(report) ?? Path.Combine(recipe.Folder, ReportFolder);
            if (File.Exists(folder)) throw new ToolException(ExitCode.Usage, $"--report {folder} is a file: name a folder.");
            return RunAsync(context, recipe, folder, parsed.GetValue(answers) ?? Answers, cancellation);
        });
        return command;
    }

    private static async Task<int> RunAsync(
        CommandContext context, FineTuneRecipe recipe, string? folder, int answers, CancellationToken cancellation)
    {
        ToolOutput output = context.Output;
        bool isFirst = TrainingProcesses.IsFirst;
        bool keeps = recipe.Options.Checkpoints is not null;
        context.Interruption.Message = keeps
            ? "Stopping after this step, with a checkpoint. Ctrl+C again ends at once, without one."
            : "Stopping. The recipe writes no checkpoints (checkpoint.enabled): this run cannot be resumed.";
        MLContext ml = LogLines.CreateContext(output, recipe.Seed);
        var history = new RunHistory();
        var notices = new Notices(output);
        using RunReport? report = folder is null || !isFirst ? null
            : new RunReport(folder, new RunReportOptions { Notices = notices }, history);
        FineTuneOptions Configure(FineTuneOptions options)
        {
            if (options.Evaluation is { } heldOut) options = options with { Evaluation = heldOut with { Answers = answers } };
            FineTuneOptions attached = report?.Attach(options) ?? options with { History = history };
            if (attached.Evaluation is not { } evaluation) return attached;
            return attached with { Evaluation = evaluation with { Progress = new Evaluations(output, evaluation.Progress) } };
        }

        var clock = Stopwatch.StartNew();
        try
        {
            using RecipeRun run = await WorkProgress.RunAsync(output, "preparing", progress => recipe.Fit(
                ml, new Steps(output, progress, history, report), Configure, cancellation), shareBetweenLines: 0);
            report?.Dispose();
            if (isFirst) Tell(output, run, folder, clock.Elapsed);
            return ExitCode.Success;
        }
        catch (OperationCanceledException) when (keeps && history.Count > 0)
        {
            throw new ToolException(ExitCode.Cancelled, ToolOutput.Text(
                $"Stopped after step {history.Count}, with a checkpoint in {recipe.Folder}. The same command goes on from there."));
        }
    }

    private static void Tell(ToolOutput output, RecipeRun run, string? report, TimeSpan time)
    {
        FineTuneSummary summary = run.Summary;
        StepRecord? last = summary.History.LastOrDefault();
        string[] files = [.. new[] { run.ModelFile, run.AdapterFolder, run.WeightsFolder, report }.OfType<string>()];
        string steps = Counted.Of(summary.History.Count, "step", "steps");
        string text = ToolOutput.Text($"{summary.End}: {steps} on {Counted.Rows(summary.TrainedRows)}, ")
            + ToolOutput.Text($"{summary.TrainedParameterCount:N0} parameters, loss {last?.Loss:F4}, {time:hh\\:mm\\:ss}");
        output.Result(string.Join('\n', files.Prepend(text)), new
        {
            Event = "trained", End = summary.End.ToString(), Steps = summary.History.Count, summary.Rows, summary.TrainedRows,
            summary.CutRows, summary.LostRows, summary.UnansweredRows, summary.TrainedParameterCount, last?.Loss,
            Seconds = time.TotalSeconds, run.ModelFile, run.AdapterFolder, run.WeightsFolder, Report = report,
        });
    }

    /// <summary>Shows every step.</summary>
    private sealed class Steps(ToolOutput output, WorkProgress progress, RunHistory history, RunReport? report) : IProgress<StepRecord>
    {
        public void Report(StepRecord value)
        {
            report?.Report(value);
            if (!TrainingProcesses.IsFirst) return;
            int total = history.TotalSteps ?? 0, done = value.Step + 1;
            progress.Report(done, total, ToolOutput.Text($"step {done}/{total}  loss {value.Loss:F4}  ")
                + ToolOutput.Text($"diffusion {value.DiffusionLoss:F4}  norm {value.GradientNorm:F2}  lr {value.LearningRate:0.00e+00}  ")
                + ToolOutput.Text($"{value.TokensPerSecond:F0} tok/s"));
            output.EmitOrGoOn(new
            {
                Event = "step", value.Step, TotalSteps = total, value.Epoch, value.Loss, value.DiffusionLoss, value.EncoderLoss,
                value.GradientNorm, value.LearningRate, value.Tokens, value.Seconds, value.TokensPerSecond, value.PeakBytes,
            });
        }
    }

    /// <summary>Shows every evaluation.</summary>
    private sealed class Evaluations(ToolOutput output, IProgress<EvaluationRecord>? next) : IProgress<EvaluationRecord>
    {
        public void Report(EvaluationRecord value)
        {
            next?.Report(value);
            int right = value.Answers.Count(answer => answer.IsMatch == true);
            output.Say(ToolOutput.Text(
                $"after {Counted.Of(value.Step, "step", "steps")}: held-out loss {value.DiffusionLoss:F4} (encoder {value.EncoderLoss:F4})")
                + (value.Answers.Count == 0 ? "" : ToolOutput.Text($", {right} of {value.Answers.Count} answers right")));
            foreach (EvaluationAnswer answer in value.Answers) output.Say(Line(answer));
            output.EmitOrGoOn(new
            {
                Event = "evaluation", value.Step, value.DiffusionLoss, value.EncoderLoss, value.DiffusionLossByNoise,
                Answers = value.Answers.Select(answer =>
                    new { answer.Row, answer.Prompt, answer.Expected, answer.Response, answer.IsMatch, answer.Error }),
            });
        }

        private static string Line(EvaluationAnswer answer) =>
            answer.Error is { } error ? $"  row {answer.Row}: {error}"
            : answer.IsMatch == true ? $"  row {answer.Row}, right: {OneLine(answer.Response)}"
            : $"  row {answer.Row}, wrong: {OneLine(answer.Response)}    expected: {OneLine(answer.Expected)}";

        private static string OneLine(string? text)
        {
            const int Most = 100;
            string line = string.Join(' ', (text ?? "").Split((char[]?)null, StringSplitOptions.RemoveEmptyEntries));
            return line.Length <= Most ? line : $"{line[..(char.IsHighSurrogate(line[Most - 1]) ? Most - 1 : Most)]}...";
        }
    }

    private sealed class Notices(ToolOutput output) : IProgress<string>
    {
        public void Report(string value) => output.Say($"note: {ToolWords.Of(value)}");
    }
}
