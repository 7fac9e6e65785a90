// Teaches tiny-chat to read orders from sentences, and reads typed columns with it: valid in every row, before and after training.
using System.Globalization;
using DiffusionGemma;
using DiffusionGemma.Samples;
using Microsoft.ML;

const string Instructions = "Read the order.";
var defaults = new TypedArguments(
    Repository.File("datasets", "tiny-chat"), Rows: 4000, HeldOut: 100, MaxSteps: 1000,
    Out: Repository.File("out", "extract-orders"));
const string About = "Teaches tiny-chat to read orders from sentences, and reads typed columns with it.";
if (TypedArguments.WriteHelp(args, About, defaults)) return 0;
TypedArguments? arguments = TypedArguments.Parse(args, defaults);
if (arguments is null) return 2;

var ml = new MLContext(seed: 42);
DiffusionGemmaCatalog gemma = ml.Transforms.DiffusionGemma;
var grammar = AnswerGrammar.Json<Order>();
var answers = new AnswerOptions { Generation = new GenerationOptions { MaxNewTokens = 128 }, BatchSize = 16 };
(string Text, Order Order)[] heldOut = [.. OrderSentences.Make(seed: 2, arguments.HeldOut)];
IDataView sentences = ml.Data.LoadFromEnumerable(heldOut.Select(row =>
    new Sentence { Text = row.Text, Expected = AnswerGrammar.WriteJson(row.Order) }));
var extraction = new ExtractionEstimator.Options { Instructions = Instructions, Answers = answers };

Console.WriteLine("Before training:");
using (ExtractionTransformer untrained = gemma.Extract<Order>(arguments.Checkpoint, extraction).Fit(sentences))
    Measure(untrained.Transform(sentences));

IDataView rows = ml.Data.LoadChat(OrderSentences.Make(seed: 1, arguments.Rows), Instructions);
using DiffusionGemmaTransformer tuned = TypedTraining.Train(ml, rows, arguments, answers);

Console.WriteLine("After training:");
using ExtractionTransformer reader = gemma.Extract<Order>(tuned, extraction).Fit(sentences);
Measure(reader.Transform(sentences));
CompareWithFree();

Console.WriteLine();
Console.WriteLine($"{"Item",-5} {"Count",5} {"Color",-6} {"Urgent",-6} {"Price",6}  Text");
IDataView first = reader.Transform(ml.Data.TakeRows(sentences, 8));
foreach (OrderColumns row in ml.Data.CreateEnumerable<OrderColumns>(first, reuseRowObject: false))
{
    string item = Enum.GetName((Product)(row.Item - 1))!, color = row.Color == 0 ? "-" : Enum.GetName((Paint)(row.Color - 1))!;
    string price = double.IsNaN(row.Price) ? "-" : row.Price.ToString("F2", CultureInfo.InvariantCulture);
    Console.WriteLine($"{item,-5} {row.Count,5} {color,-6} {row.Urgent,-6} {price,6}  {row.Text}");
}
return 0;

// Every answer is an instance of the schema; how many fields are right is the model's doing.
void Measure(IDataView view)
{
    var fields = new AnswerEvaluationOptions
    {
        Match = AnswerMatch.Fields, ExpectedColumn = nameof(Sentence.Expected), ResponseColumn = "ResponseJson",
    };
    AnswerMetrics metrics = gemma.Evaluate(view, fields);
    AnswerResult[] results = [.. ml.Data.CreateEnumerable<AnswerResult>(metrics.Results, reuseRowObject: false)];
    double valid = results.Count(result => grammar.Accepts(result.Response)) / (double)results.Length;
    Console.WriteLine(FormattableString.Invariant($"  valid {100 * valid:F1} %   all fields right {100 * metrics.ExactMatch:F1} %"));
    foreach (FieldMetrics field in metrics.Fields)
        Console.WriteLine(FormattableString.Invariant($"  {field.Field,-8} {100 * field.Accuracy,5:F1} % of {field.Rows}"));
}

// The same model and prompts, without a grammar and with it.
void CompareWithFree()
{
    IDataView chats = ml.Data.LoadChat(heldOut.Select(row => (row.Text, row.Order)), Instructions);
    IDataView prompts = TypedTraining.Tokens(ml, arguments.Checkpoint).Fit(chats).Transform(chats);
    var text = new AnswerEvaluationOptions { Match = AnswerMatch.Text };
    foreach ((string name, AnswerGrammar? language) in new[] { ("free", null), ("under the grammar", grammar) })
    {
        IDataView scored = tuned.Transform(
            prompts, answers with { Generation = answers.Generation with { Grammar = language }, OnFailure = RowFailure.EmptyAnswer });
        AnswerMetrics metrics = gemma.Evaluate(scored, text);
        Console.WriteLine(FormattableString.Invariant(
            $"  {name,-18} exact match {100 * metrics.ExactMatch:F1} %, {metrics.Steps / (double)metrics.Rows:F2} steps an answer"));
    }
}
