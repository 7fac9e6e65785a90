// Fine-tunes a DiffusionGemma checkpoint on GSM8K through ML.NET, and saves it. The small checkpoint shows losses that fall; answers to
// GSM8K need the released one: --checkpoint google/diffusiongemma-26B-A4B-it --answers 32
using DiffusionGemma;
using DiffusionGemma.Samples;
using Microsoft.ML;
using TorchSharp;

FriendlyErrors.Install();
if (Arguments.IsHelp(args)) return Arguments.PrintHelp("FineTuneGsm8k", "Fine-tunes on GSM8K, and reports held-out losses.");
Arguments? arguments = Arguments.Parse(args, new Arguments
{
    Data = Repository.File("datasets", "gsm8k"),
    Checkpoint = Repository.File("datasets", "tiny-chat"),
    MaxSteps = 120,
    Out = Repository.File("out", "gsm8k"),
});
if (arguments is null) return 2;

const int LossRows = 16, Shown = 3;
var ml = new MLContext(seed: 42);
DiffusionGemmaCatalog gemma = ml.Transforms.DiffusionGemma;
IDataView train = ml.Data.LoadChatFromParquet(Path.Combine(arguments.Data, "train.parquet"), "question", "answer");
IDataView test = ml.Data.LoadChatFromParquet(Path.Combine(arguments.Data, "test.parquet"), "question", "answer");
if (arguments.Load is { } saved)
{
    FreshProcess.Run(ml, saved, test);
    return 0;
}

bool isFirst = TrainingProcesses.IsFirst;                               // under mpirun every process trains, and the first does the rest
if (!isFirst) Console.SetOut(TextWriter.Null);
Console.WriteLine(DiffusionGemmaRuntime.Describe());
Directory.CreateDirectory(arguments.Out);

var prepare = gemma.TokenizeChat(arguments.Checkpoint)
    .Append(gemma.MaskResponse())
    .Append(gemma.PackCanvas(arguments.Checkpoint, maxLength: 512));
IDataView heldOut = ml.Data.TakeRows(test, LossRows);
IDataView packed = prepare.Fit(heldOut).Transform(heldOut);
Measurement? before = null;
if (isFirst)
{
    using var untrained = prepare.Append(gemma.Answer(arguments.Checkpoint)).Fit(heldOut);
    before = Measurement.Make(ml, "before", untrained, packed, test, arguments.Answers);
}

var options = new FineTuneOptions
{
    Lora = arguments.Full ? null : new LoraOptions { Rank = 16, Alpha = 32 },
    OutputFolder = arguments.Full ? Path.Combine(arguments.Out, "checkpoint") : null,
    MaxSteps = arguments.MaxSteps,
    WarmupSteps = Math.Min(25, arguments.MaxSteps / 4),
    LearningRate = arguments.IsSmall ? 1e-3 : 1.5e-4,                   // the default suits the released model
    Optimizer = new OptimizerOptions { MinLearningRate = arguments.IsSmall ? 1e-4 : 1.5e-5 },
    Devices = arguments.Ranks is int ranks ? torch.Device.Cpu(ranks) : null,
};
var steps = new StepProgress(arguments.MaxSteps);
using var model = prepare.Append(gemma.FineTune(arguments.Checkpoint, options, progress: steps)).Fit(train);
steps.Dispose();
if (!isFirst) return 0;

Measurement after = Measurement.Make(ml, "after", model, packed, test, arguments.Answers);
ResultPrinter.PrintTable(before!, after, QuestionTexts.Read(test, Shown));
IReadOnlyList<StepRecord> history = model.LastTransformer.Summary!.History;
ResultPrinter.PrintCurve(history);
history.Plot(Path.Combine(arguments.Out, "curves.png"));

string zip = Path.Combine(arguments.Out, "model.zip");
ml.Model.Save(model, train.Schema, zip + ".new");                       // ML.NET truncates an existing file: save, then move
File.Move(zip + ".new", zip, overwrite: true);
Console.WriteLine($"Written to {arguments.Out}: model.zip, curves.png");
if (arguments.IsSmall)
{
    Console.WriteLine("The small checkpoint has two million parameters and cannot solve GSM8K: its losses are what there is to see. "
        + "Answers need the released one: --checkpoint google/diffusiongemma-26B-A4B-it --answers 32");
}
return 0;
