// Teaches tiny-chat to sort tickets, and compares the ways to make scores on tickets that it has not seen.
using DiffusionGemma;
using DiffusionGemma.Samples;
using Microsoft.ML;
using Microsoft.ML.Data;

const string Instructions = "Sort the ticket.";
const double Wrong = 0.1;
var defaults = new TypedArguments(
    Repository.File("datasets", "tiny-chat"), Rows: 2000, HeldOut: 300, MaxSteps: 600,
    Out: Repository.File("out", "classify"));
const string About = "Teaches tiny-chat to sort tickets into five labels, and compares the ways to make scores.";
if (TypedArguments.WriteHelp(args, About, defaults)) return 0;
TypedArguments? arguments = TypedArguments.Parse(args, defaults);
if (arguments is null) return 2;

var ml = new MLContext(seed: 42);
DiffusionGemmaCatalog gemma = ml.Transforms.DiffusionGemma;
IDataView heldOut = ml.Data.LoadFromEnumerable(Tickets.Make(seed: 2, arguments.HeldOut, Wrong).ToArray());
var options = new ClassificationEstimator.Options
{
    LabelColumnName = nameof(Ticket.Kind), Instructions = Instructions, Answers = new AnswerOptions { BatchSize = 16 },
};

Console.WriteLine("Before training:");
using (ClassificationTransformer untrained = gemma.Classify(arguments.Checkpoint, Tickets.Labels, options).Fit(heldOut))
    Measure("32 random canvases", untrained);

IDataView rows = ml.Data.LoadChat(
    Tickets.Make(seed: 1, arguments.Rows, Wrong).Select(ticket => (ticket.Text, ticket.Kind)), Instructions);
using DiffusionGemmaTransformer tuned = TypedTraining.Train(ml, rows, arguments, options.Answers);

Console.WriteLine($"After training ({Wrong:P0} of the labels are wrong, in training and here):");
foreach ((string name, LabelScoring scoring, int canvases) in new[]
{
    ("1 random canvas", LabelScoring.RandomCanvases, 1), ("8 random canvases", LabelScoring.RandomCanvases, 8),
    ("32 random canvases", LabelScoring.RandomCanvases, 32), ("last pass", LabelScoring.LastPass, 1),
})
{
    (options.Scoring, options.Canvases) = (scoring, canvases);
    using ClassificationTransformer classifier = gemma.Classify(tuned, Tickets.Labels, options).Fit(heldOut);
    Measure(name, classifier);
}
return 0;

void Measure(string name, ClassificationTransformer classifier)
{
    IDataView view = ml.Data.Cache(classifier.Transform(heldOut), "Label", "PredictedLabel", "Score");
    MulticlassClassificationMetrics metrics = ml.MulticlassClassification.Evaluate(view);
    Console.WriteLine(FormattableString.Invariant(
        $"  {name,-18}   micro {metrics.MicroAccuracy:F3}   macro {metrics.MacroAccuracy:F3}   log-loss {metrics.LogLoss:F3}"));
    uint[] labels = [.. view.GetColumn<uint>("Label")], predicted = [.. view.GetColumn<uint>("PredictedLabel")];
    float[][] scores = [.. view.GetColumn<float[]>("Score")];
    Reliability.Print(scores.Select((score, row) => ((double)score[predicted[row] - 1], predicted[row] == labels[row])));
}
