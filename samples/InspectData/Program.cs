// Shows what fine-tuning would see of a data set: a few rows in colour, how long rows are, and which would be cut or left out.
using DiffusionGemma;
using DiffusionGemma.Samples;
using Microsoft.ML;
using Microsoft.ML.Data;
using Spectre.Console;

if (InspectArguments.Parse(args) is not { } arguments) return 2;

var ml = new MLContext();
DiffusionGemmaCatalog gemma = ml.Transforms.DiffusionGemma;
try
{
    IDataView data = ChatData.Load(ml, arguments);
    PreviewPrinter.PrintLegend();
    foreach (string row in ml.Data.TakeRows(data, arguments.Rows).GetColumn<string>(ChatColumns.Messages))
        PreviewPrinter.Print(gemma.Preview(arguments.Checkpoint, row, arguments.MaxLength, chatTemplate: arguments.ChatTemplate));
    SummaryPrinter.Print(gemma.Summarize(arguments.Checkpoint, data, arguments.MaxLength, chatTemplate: arguments.ChatTemplate));
    return 0;
}
catch (Exception error) when (error is IOException or FormatException or ArgumentException)
{
    AnsiConsole.MarkupLineInterpolated($"[red]{error.Message}[/]");
    return 1;
}
