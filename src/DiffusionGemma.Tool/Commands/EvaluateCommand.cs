using System.CommandLine;
using System.Diagnostics;
using System.Text.RegularExpressions;
using Microsoft.ML;
using Microsoft.ML.Data;

namespace DiffusionGemma;

/// <summary>Measures a model on held-out rows: losses by noise level, and answers compared with the expected ones.</summary>
internal static class EvaluateCommand
{
    private const int DefaultLength = 1024, DefaultBatch = 8;

    public static Command Create(CommandContext context)
    {
        var name = new Argument<string>("MODEL") { Description = ModelReference.Help };
        Option<string> data = CommonOptions.Path(
            "--data", "Held-out rows: a file, pattern or folder of .jsonl or .parquet, or hf://datasets/...", "DATA");
        Option<int?> rows = CommonOptions.Number("--rows", "The first so many rows (default: all).", 1);
        Option<string> match = CommonOptions.Choice("--match", "How answers are compared.", "number", "text", "pattern");
        Option<string?> pattern = CommonOptions.Text("--pattern", "The regular expression of --match pattern.", "REGEX");
        var ignoreCase = new Option<bool>("--ignore-case") { Description = "Upper and lower case are the same." };
        var noLoss = new Option<bool>("--no-loss") { Description = "Measure no losses." };
        var noAnswers = new Option<bool>("--no-answers") { Description = "Answer nothing: losses alone." };
        Option<int?> length = CommonOptions.Number(
            "--max-length", $"The most tokens of a row in losses, where the model does not say (default: {DefaultLength}).", 1);
        Option<int?> batch = CommonOptions.BatchSize("Prompts denoised together", DefaultBatch);
        var command = new Command("evaluate", "Measures a model on held-out rows: losses by noise level, and the answers that are right.")
        {
            name, data, rows, match, pattern, ignoreCase, noLoss, noAnswers, length, batch,
        };
        Option<string?> template = CommonOptions.ChatTemplate;
        command.Add(template);
        var quantization = new QuantizationOption(command);
        var device = new DeviceOption(command);
        var generation = new GenerationArguments(command);
        var columns = new RowOptions(command, withAnswers: true);
        command.SetAction(async (parsed, _) =>
        {
            context.Interruption.AtOnce = Interruption.Stopped;
            var options = new AnswerEvaluationOptions
            {
                Match = Enum.Parse<AnswerMatch>(parsed.GetValue(match)!, ignoreCase: true),
                Pattern = parsed.GetValue(pattern), IgnoreCase = parsed.GetValue(ignoreCase),
            };
            if (options.Match == AnswerMatch.Pattern != options.Pattern is not null)
                throw new ToolException(ExitCode.Usage, "--match pattern and --pattern go together.");
            RequireExpression(options.Pattern);
            if (parsed.GetValue(noLoss) && parsed.GetValue(noAnswers))
                throw new ToolException(ExitCode.Usage, "--no-loss and --no-answers together leave nothing to measure.");
            MLContext ml = LogLines.CreateContext(context.Output);
            IDataView held = RowOptions.Load(ml, parsed.GetValue(data)!, columns.Read(parsed));
            if (parsed.GetValue(rows) is int most) held = ml.Data.TakeRows(held, most);
            using ToolModel model = await ToolModel.LoadAsync(
                ml, parsed.GetValue(name)!, device.Read(parsed), context, parsed.GetValue(template),
                quantization.Read(parsed));
            if (!parsed.GetValue(noLoss))
                Loss(context.Output, model.Answers.EvaluateLoss(model.Pack(held, parsed.GetValue(length) ?? DefaultLength)));
            AnswerOptions How(AnswerOptions own) => own with
            {
                Generation = generation.Read(parsed).Over(own.Generation),
                BatchSize = parsed.GetValue(batch) ?? DefaultBatch,
                OnFailure = RowFailure.EmptyAnswer,
            };
            if (!parsed.GetValue(noAnswers)) await AnswersAsync(context, ml, model, held, options, How);
            return ExitCode.Success;
        });
        return command;
    }

    /// <summary>Before hours of answers, which it is compared with last.</summary>
    private static void RequireExpression(string? pattern)
    {
        try
        {
            if (pattern is not null) _ = new Regex(pattern, RegexOptions.CultureInvariant);
        }
        catch (ArgumentException e)
        {
            throw new ToolException(ExitCode.Usage, $"--pattern is no regular expression: {e.Message}", e);
        }
    }

    private static void Loss(ToolOutput output, EvaluationRecord loss)
    {
        IEnumerable<string> levels = loss.DiffusionLossByNoise.Select((value, level) =>
            ToolOutput.Text($"  t={(level + 0.5) / loss.DiffusionLossByNoise.Count:F2}  {value:F4}"));
        string means = ToolOutput.Text(
            $"held-out loss: diffusion {loss.DiffusionLoss:F4}, encoder {loss.EncoderLoss:F4} nats a token; diffusion by noise level:");
        output.Result(
            string.Join('\n', levels.Prepend(means)),
            new { Event = "loss", loss.DiffusionLoss, loss.EncoderLoss, loss.DiffusionLossByNoise });
    }

    private static async Task AnswersAsync(CommandContext context, MLContext ml, ToolModel model, IDataView rows,
        AnswerEvaluationOptions options, Func<AnswerOptions, AnswerOptions> how)
    {
        DiffusionGemmaCatalog gemma = ml.Transforms.DiffusionGemma;
        long total = rows.GetRowCount() ?? rows.GetColumn<string>(ChatColumns.Messages).LongCount();
        var clock = Stopwatch.StartNew();
        List<ScoredRow> scored = await WorkProgress.RunAsync(context.Output, "answering", progress =>
        {
            var read = new List<ScoredRow>();
            IDataView answers = gemma.Score(model.Pipeline, rows, how);
            foreach (ScoredRow row in ml.Data.CreateEnumerable<ScoredRow>(answers, reuseRowObject: false))
            {
                read.Add(row);
                progress.Report(read.Count, total, ToolOutput.Text($"{read.Count} of {total} rows answered"));
            }
            return read;
        });
        AnswerMetrics metrics = gemma.Evaluate(ml.Data.LoadFromEnumerable(scored), options with { Checkpoint = model.Answers.Model.Folder })
            with
        { Seconds = clock.Elapsed.TotalSeconds };
        foreach (AnswerResult result in ml.Data.CreateEnumerable<AnswerResult>(metrics.Results, reuseRowObject: false))
        {
            context.Output.Emit(new
            {
                Event = "answer", result.Row, result.Expected, result.Response, result.ExpectedKey, result.ResponseKey, result.IsMatch,
                result.Reason,
            });
        }
        context.Output.Result(metrics.ToString(), new
        {
            Event = "accuracy", metrics.Rows, metrics.Correct, metrics.ExactMatch, metrics.Failed, metrics.WithoutExpectation,
            metrics.Tokens, metrics.Steps, metrics.TokensPerForward, metrics.Seconds, metrics.TokensPerSecond,
        });
    }

    /// <summary>One row with its answer.</summary>
    private sealed class ScoredRow
    {
        public string Messages { get; set; } = "";

        public string Response { get; set; } = "";

        public string ResponseError { get; set; } = "";

        public float TokensPerForward { get; set; }

        public int Steps { get; set; }

        public int[] ResponseIds { get; set; } = [];
    }
}
