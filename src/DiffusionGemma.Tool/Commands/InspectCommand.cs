using System.CommandLine;
using Microsoft.ML;
using Microsoft.ML.Data;

namespace DiffusionGemma;

/// <summary>Shows rows as training sees them, and counts what a data set holds.</summary>
internal static class InspectCommand
{
    private const int DefaultRows = 3, DefaultLength = 1024;

    public static Command Create(CommandContext context)
    {
        var source = new Argument<string>("SOURCE")
        {
            Description = "A recipe (.yaml), or data: a file, pattern or folder of .jsonl or .parquet, or hf://datasets/...",
        };
        Option<string?> checkpoint = CommonOptions.Text(
            "--checkpoint", "The checkpoint whose text rows become; a recipe names it.", "FOLDER|ID");
        Option<int?> length = CommonOptions.Number(
            "--max-length", $"The most tokens of a row (default: the recipe's, or {DefaultLength}).", 1);
        Option<int?> rows = CommonOptions.Number("--rows", $"Rows that are shown (default: {DefaultRows}); figures are of all rows.", 0);
        Option<string?> template = CommonOptions.ChatTemplate;
        var tokens = new Option<bool>("--tokens") { Description = "Each token on its own, without colour." };
        var command = new Command("inspect", "Shows rows as training sees them, what is supervised in colour, and counts all rows.")
        {
            source, checkpoint, template, length, rows, tokens,
        };
        var columns = new RowOptions(command, withAnswers: true);
        command.SetAction(async (parsed, _) =>
        {
            context.Interruption.AtOnce = Interruption.Stopped;
            string path = parsed.GetValue(source)!;
            MLContext ml = LogLines.CreateContext(context.Output);
            FineTuneRecipe? recipe = IsRecipe(path) ? FineTuneRecipe.Load(path) : null;
            string model = parsed.GetValue(checkpoint) ?? recipe?.Checkpoint
                ?? throw new ToolException(ExitCode.Usage, "--checkpoint is needed: rows become the text of a checkpoint's chat template.");
            if (HubRepository.IsId(model)) model = await Downloads.CheckpointAsync(model, context);
            ChatDataOptions options = columns.Read(parsed);
            IDataView data = recipe is not null ? Stage.Data(() => recipe.Train.Load(ml)) : RowOptions.Load(ml, path, options);
            string? own = parsed.GetValue(template) ?? recipe?.ChatTemplate;
            if (own is not null) DataFiles.RequireFile(own, ExitCode.Usage);
            return Run(context.Output, ml, data, model, own, parsed.GetValue(length) ?? recipe?.MaxLength ?? DefaultLength,
                parsed.GetValue(rows) ?? DefaultRows, parsed.GetValue(tokens));
        });
        return command;
    }

    private static bool IsRecipe(string path) => Path.GetExtension(path).ToLowerInvariant() is ".yaml" or ".yml";

    private static int Run(
        ToolOutput output, MLContext ml, IDataView data, string checkpoint, string? chatTemplate, int length, int rows, bool tokens)
    {
        DiffusionGemmaCatalog gemma = ml.Transforms.DiffusionGemma;
        _ = Stage.Model(() => ChatTokenizer.Load(checkpoint, chatTemplate));
        var printer = new PreviewPrinter(output.Screen, output.Out, tokens || !output.HasOutputTerminal, tokens);
        if (!output.IsJson && rows > 0) printer.PrintLegend();
        foreach (string row in ml.Data.TakeRows(data, rows).GetColumn<string>(ChatColumns.Messages))
        {
            ChatPreview preview = gemma.Preview(checkpoint, row, length, chatTemplate: chatTemplate);
            if (output.IsJson) output.Emit(Row(preview));
            else printer.Print(preview);
        }
        ChatDataSummary summary = gemma.Summarize(checkpoint, data, length, chatTemplate: chatTemplate);
        if (output.IsJson) output.Emit(Summary(summary));
        else SummaryPrinter.Print(output.Screen, summary);
        return ExitCode.Success;
    }

    private static object Row(ChatPreview preview) => new
    {
        Event = "row",
        preview.Length,
        preview.PromptLength,
        preview.CanvasCount,
        preview.CutTokens,
        preview.IsTrained,
        preview.Notes,
        Tokens = preview.Tokens.Select(token => new
        {
            token.Id, token.Piece, Part = token.Part.ToString(), Supervised = token.IsSupervised, token.Canvas,
        }),
    };

    private static object Summary(ChatDataSummary summary) => new
    {
        Event = "summary",
        summary.Rows,
        summary.TrainedRows,
        summary.UnansweredRows,
        summary.EmptyAnswerRows,
        summary.LostRows,
        summary.CutRows,
        summary.CutTokens,
        summary.SupervisedTokens,
        summary.MaxLength,
        summary.CanvasLength,
        LongestRow = summary.Lengths.Max,
        summary.IgnoredKeys,
        summary.SpecialTokenRows,
        summary.UnlearnedEndRows,
        summary.Warnings,
    };
}
