// Teaches tiny-chat, which answers small arithmetic questions in a sentence, to answer them in GSM8K's manner (8+7=15, then #### 15):
// right answers rise from none to most. Ends with a table, a curve, a chart (curves.png) and a fresh process that answers.
using DiffusionGemma;
using DiffusionGemma.Samples;
using Microsoft.ML;
using TorchSharp;

FriendlyErrors.Install();
if (Arguments.IsHelp(args)) return Arguments.PrintHelp("Arithmetic", "Fine-tunes on small sums: right answers rise from none to most.");
Arguments? arguments = Arguments.Parse(args, new Arguments
{
    Data = Repository.File("datasets", "arithmetic"),
    Checkpoint = Repository.File("datasets", "tiny-chat"),
    MaxSteps = 300,
    Out = Repository.File("out", "arithmetic"),
});
if (arguments is null) return 2;

const int LossRows = 16, AnswerRows = 64, Shown = 3;
var ml = new MLContext(seed: 42);
DiffusionGemmaCatalog gemma = ml.Transforms.DiffusionGemma;
IDataView train = ml.Data.LoadChatFromParquet(Path.Combine(arguments.Data, "train.parquet"), "question", "answer");
IDataView heldOut = ml.Data.LoadChatFromParquet(Path.Combine(arguments.Data, "test.parquet"), "question", "answer");
if (arguments.Load is { } saved)
{
    FreshProcess.Run(ml, saved, heldOut);
    return 0;
}

bool isFirst = TrainingProcesses.IsFirst;                               // under mpirun every process trains, and the first does the rest
if (!isFirst) Console.SetOut(TextWriter.Null);
Console.WriteLine(DiffusionGemmaRuntime.Describe());
Directory.CreateDirectory(arguments.Out);

var prepare = gemma.TokenizeChat(arguments.Checkpoint)
    .Append(gemma.MaskResponse())
    .Append(gemma.PackCanvas(arguments.Checkpoint, maxLength: 512));
IDataView packed = prepare.Fit(heldOut).Transform(ml.Data.TakeRows(heldOut, LossRows));
Measurement? before = null;
if (isFirst)
{
    using var untrained = prepare.Append(gemma.Answer(arguments.Checkpoint)).Fit(heldOut);
    before = Measurement.Make(ml, "before", untrained, packed, heldOut, AnswerRows);
}

var options = new FineTuneOptions
{
    Lora = arguments.Full ? null : new LoraOptions { Rank = 16, Alpha = 32 },
    OutputFolder = arguments.Full ? Path.Combine(arguments.Out, "checkpoint") : null,
    MaxSteps = arguments.MaxSteps,
    Epochs = 10,
    WarmupSteps = Math.Min(25, arguments.MaxSteps / 4),
    LearningRate = 1e-3,                                                // for two million parameters; the default suits the released model
    Optimizer = new OptimizerOptions { MinLearningRate = 1e-4 },
    Devices = arguments.Ranks is int ranks ? torch.Device.Cpu(ranks) : null,
};
var steps = new StepProgress(arguments.MaxSteps);
using var model = prepare.Append(gemma.FineTune(arguments.Checkpoint, options, progress: steps)).Fit(train);
steps.Dispose();
if (!isFirst) return 0;

Measurement after = Measurement.Make(ml, "after", model, packed, heldOut, AnswerRows);
ResultPrinter.PrintTable(before!, after, QuestionTexts.Read(heldOut, Shown));
IReadOnlyList<StepRecord> history = model.LastTransformer.Summary!.History;
ResultPrinter.PrintCurve(history);
history.Plot(Path.Combine(arguments.Out, "curves.png"));

// ML.NET truncates the file that it saves to: a new name, then a move, keeps the old model until the new one is whole.
string zip = Path.Combine(arguments.Out, "model.zip");
ml.Model.Save(model, train.Schema, zip + ".new");
File.Move(zip + ".new", zip, overwrite: true);
FreshProcess.Answer(zip, arguments.Data);
Console.WriteLine($"Written to {arguments.Out}: model.zip, curves.png");
return 0;
