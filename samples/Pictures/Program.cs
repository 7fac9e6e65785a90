// Draws docs/images/run.svg: the loss of a LoRA run on the arithmetic data set, and one canvas of the trained model as it settles.
using DiffusionGemma;
using DiffusionGemma.Samples;
using Microsoft.ML;

if (args is ["--help" or "-h"])
{
    Console.WriteLine("Draws docs/images/run.svg from a run on the arithmetic data set. Options: [FILE.svg]");
    return;
}
string checkpoint = Repository.File("datasets", "tiny-chat"), data = Repository.File("datasets", "arithmetic");
string target = args is [var path] ? path : Repository.File("docs", "images", "run.svg");
const string Question = "What is 8 plus 7?";

var ml = new MLContext(seed: 12);
var gemma = ml.Transforms.DiffusionGemma;
var history = new RunHistory();
var pipeline = gemma.TokenizeChat(checkpoint)
    .Append(gemma.MaskResponse())
    .Append(gemma.PackCanvas(checkpoint, maxLength: 512))
    .Append(gemma.FineTune(checkpoint, new FineTuneOptions
    {
        Lora = new LoraOptions { Rank = 16, Alpha = 32 },
        MaxSteps = 300,
        Epochs = 10,
        LearningRate = 1e-3,
        Optimizer = new() { MinLearningRate = 1e-4 },
        History = history,
    }));
IDataView rows = ml.Data.LoadChatFromParquet(Path.Combine(data, "train.parquet"), questionColumn: "question", answerColumn: "answer");
using var model = pipeline.Fit(rows);

int[] prompt = ChatTokenizer.Load(checkpoint).EncodePrompt(ChatConversation.Of(("user", Question)));
var recording = new CanvasRecording(seed: 1);
CanvasGenerator.Generate(model.LastTransformer.Model, [prompt], noise: recording, drafts: recording);

Directory.CreateDirectory(Path.GetDirectoryName(Path.GetFullPath(target))!);
RunPicture.Draw(history, Question, recording.Frames, DiffusionGemmaTokenizer.Load(checkpoint)).Save(target);
Console.WriteLine($"{target}: {history.Count} steps, {recording.Frames.Count} states of the canvas");
